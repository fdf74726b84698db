import type { Checkpoint } from '../../compiler/checkpoint/checkpoint.js';
import { IpgraftError } from '../../compiler/errors.js';

/** What names of other adapters say, the most telling first. */
const SIGNS: readonly (readonly [RegExp, string])[] = [
  [/double_blocks|ip_adapter_proj_model/, 'Flux'],
  [/norm_ip|image_proj\.time_embedding/, 'SD3'],
  [/pulid|id_adapter|(?:^|\.)id_to_[kv]\b|(?:^|\.)mapping_patch_\d/, 'PuLID'],
  [/to_[kv]_ip\.bias/, 'Flux'],
  // Transformers number all their blocks; a UNet's first layer is a self-attention.
  [/(?:^|\.)0\.to_[kv]_ip\./, 'a transformer'],
];

/**
 * Refuses adapters that resemble a UNet's from afar: for the transformers of SD3 and Flux, and PuLID, whose attention has another rule
 * (it takes the part of the image attention that is orthogonal to the text's).
 * @throws IpgraftError `ADAPTER_NOT_FOR_UNET`
 */
export function refuseOutOfScope({ tensors }: Checkpoint, file: string): void {
  for (const [sign, model] of SIGNS) {
    const found = [...tensors.keys()].find((name) => sign.test(name));
    if (found === undefined) continue;
    throw new IpgraftError(
      'ADAPTER_NOT_FOR_UNET',
      `${file}: sought an IP-Adapter of a UNet, found ${found}: this is an adapter of ${model}`,
      { file, model, found },
    );
  }
}
