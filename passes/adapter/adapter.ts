import type { Checkpoint } from '../../compiler/checkpoint/checkpoint.js';
import { IpgraftError } from '../../compiler/errors.js';
import { type AdapterTensors, adaptersOf } from './containers.js';
import { detectProjection, type ImageProjection } from './image-projection.js';
import { type AdapterLayer, type LoraLayer, readLayers } from './layers.js';
import { refuseOutOfScope } from './out-of-scope.js';

/** An IP-Adapter checkpoint, understood: which family it is and where its weights are. None of them is read yet. */
export interface Adapter {
  /** For messages and metadata: the file's name, and which of the file's adapters it is where there are several. */
  readonly name: string;
  /** SHA-256 of the file. */
  readonly sha256: string;
  readonly format: Checkpoint['format'];
  readonly projection: ImageProjection;
  /** T, image tokens per image. */
  readonly tokens: number;
  /** C, the width of the tokens. Kolors' FaceID has wider ones than its layers read: the UNet's own Linear comes between. */
  readonly tokenWidth: number;
  /** By id: 1, 3, 5… */
  readonly layers: readonly AdapterLayer[];
  /** What a FaceID adapter changes in the base; empty for all others. */
  readonly lora: readonly LoraLayer[];
}

/**
 * Tells what a checkpoint is by its names and shapes. Only the state of a diffusers UNet can hold more than one adapter.
 * @throws IpgraftError `ADAPTER_FAMILY_UNKNOWN`, `ADAPTER_NOT_FOR_UNET`, `ADAPTER_LAYERS`, `ADAPTER_LORA`, `ADAPTER_PROJECTION`
 */
export function readAdapters(checkpoint: Checkpoint, file: string, sha256: string): Adapter[] {
  refuseOutOfScope(checkpoint, file);
  const found = adaptersOf(checkpoint);
  if (found.length === 0) throw unknown(checkpoint, file);
  return found.map((tensors, index) =>
    understand(tensors, found.length === 1 ? file : `${file} (${index + 1})`, sha256, checkpoint.format),
  );
}

function understand(
  { projection: projectionTensors, layers: layerTensors }: AdapterTensors,
  name: string,
  sha256: string,
  format: Checkpoint['format'],
): Adapter {
  const { layers, lora } = readLayers(layerTensors, name);
  const projection = detectProjection(projectionTensors, layers[0]!.key.shape[1]!, name);
  const { tokens, tokenWidth } = projection;
  return { name, sha256, format, projection, tokens, tokenWidth, layers, lora };
}

function unknown({ tensors }: Checkpoint, file: string): IpgraftError {
  const found = [...tensors.keys()].slice(0, 3);
  return new IpgraftError(
    'ADAPTER_FAMILY_UNKNOWN',
    `${file}: sought tensors named image_proj.… and ip_adapter.…, found ${found.join(', ') || 'no tensors'}`,
    { file, found },
  );
}
