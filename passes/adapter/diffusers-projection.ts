import type { CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';

type Tensors = ReadonlyMap<string, CheckpointTensor>;

/** Modules of a projection in diffusers, and what the published files call them. */
const PERCEIVER: readonly (readonly [RegExp, string])[] = [
  [/^layers\.(\d+)\.ln0\./, 'layers.$1.0.norm1.'],
  [/^layers\.(\d+)\.ln1\./, 'layers.$1.0.norm2.'],
  [/^layers\.(\d+)\.attn\.to_out\.0\./, 'layers.$1.0.to_out.'],
  [/^layers\.(\d+)\.attn\./, 'layers.$1.0.'],
  [/^layers\.(\d+)\.ff\.0\./, 'layers.$1.1.0.'],
  [/^layers\.(\d+)\.ff\.1\.net\.0\.proj\./, 'layers.$1.1.1.'],
  [/^layers\.(\d+)\.ff\.1\.net\.2\./, 'layers.$1.1.3.'],
];

/**
 * An image projection under the names of the published files, from those that it has in diffusers' UNet; keys and values are joined into
 * one to_kv again.
 *
 * Source: the reverse of `_convert_ip_adapter_image_proj_to_diffusers` in diffusers' loaders/unet.py.
 */
export function projectionFromDiffusers(tensors: Tensors): Tensors {
  if (tensors.has('image_embeds.weight')) return renamed(tensors, [[/^image_embeds\./, 'proj.']]);
  if (tensors.has('ff.net.2.weight')) {
    // The same module makes one token of each feature for full-face, and T tokens of an embedding for FaceID.
    const perFeature = tensors.get('ff.net.2.weight')!.shape[0] === tensors.get('norm.weight')?.shape[0];
    return renamed(tensors, [
      [/^ff\.net\.0\.proj\./, 'proj.0.'],
      [/^ff\.net\.2\./, 'proj.2.'],
      ...(perFeature ? ([[/^norm\./, 'proj.3.']] as const) : []),
    ]);
  }
  const joined = joinKeyValue(renamed(tensors, PERCEIVER));
  if (!tensors.has('proj.net.2.weight')) return joined;
  return renamed(joined, [
    [/^proj\.net\.0\.proj\./, 'proj.0.'],
    [/^proj\.net\.2\./, 'proj.2.'],
    [/^(layers\.|proj_in\.|proj_out\.|norm_out\.)/, 'perceiver_resampler.$1'],
  ]);
}

function renamed(tensors: Tensors, names: readonly (readonly [RegExp, string])[]): Tensors {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      const rule = names.find(([pattern]) => pattern.test(name));
      return [rule === undefined ? name : name.replace(rule[0], rule[1]), tensor];
    }),
  );
}

/** to_k [inner, D] and to_v [inner, D] → to_kv [2 · inner, D]. */
function joinKeyValue(tensors: Tensors): Tensors {
  const joined = new Map(tensors);
  for (const [name, key] of tensors) {
    const layer = /^(layers\.\d+\.0\.)to_k\.weight$/.exec(name)?.[1];
    const value = layer === undefined ? undefined : tensors.get(`${layer}to_v.weight`);
    if (value?.dtype !== key.dtype || value.shape.join() !== key.shape.join()) continue;
    joined.delete(name);
    joined.delete(`${layer}to_v.weight`);
    joined.set(`${layer}to_kv.weight`, {
      ...key,
      name: `${layer}to_kv.weight`,
      shape: [2 * key.shape[0]!, ...key.shape.slice(1)],
      async read() {
        const parts = [await key.read(), await value.read()];
        const bytes = new Uint8Array(parts[0]!.length + parts[1]!.length);
        bytes.set(parts[0]!);
        bytes.set(parts[1]!, parts[0]!.length);
        return bytes;
      },
    });
  }
  return joined;
}
