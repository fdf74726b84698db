import type { Checkpoint, CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { IpgraftError } from '../../compiler/errors.js';
import { checkpointId } from '../checkpoint-order.js';
import { detectProjection, type ImageProjection } from './image-projection.js';

/** The image weights of one cross-attention, [h, C] each, as PyTorch keeps a Linear. */
export interface AdapterLayer {
  readonly id: number;
  readonly key: CheckpointTensor;
  readonly value: CheckpointTensor;
}

/** An IP-Adapter checkpoint, understood: which family it is and where its weights are. None of them is read yet. */
export interface Adapter {
  /** For messages and metadata: the file's name. */
  readonly name: string;
  /** SHA-256 of the file. */
  readonly sha256: string;
  readonly format: Checkpoint['format'];
  readonly projection: ImageProjection;
  /** T, image tokens per image. */
  readonly tokens: number;
  /** C, the width of the tokens: the text width of the UNet it is for. */
  readonly tokenWidth: number;
  /** By id: 1, 3, 5… */
  readonly layers: readonly AdapterLayer[];
}

/**
 * Tells what a checkpoint is by its names and shapes.
 * @throws IpgraftError `ADAPTER_FAMILY_UNKNOWN`, `ADAPTER_NOT_FOR_UNET`, `ADAPTER_LAYERS`, `ADAPTER_PROJECTION`
 */
export function readAdapter(checkpoint: Checkpoint, name: string, sha256: string): Adapter {
  refuseOtherModels(checkpoint, name);
  const projectionTensors = group(checkpoint, 'image_proj.');
  const layerTensors = group(checkpoint, 'ip_adapter.');
  if (projectionTensors.size === 0 || layerTensors.size === 0) {
    const found = [...checkpoint.tensors.keys()].slice(0, 3);
    throw new IpgraftError(
      'ADAPTER_FAMILY_UNKNOWN',
      `${name}: sought tensors named image_proj.… and ip_adapter.…, found ${found.join(', ') || 'no tensors'}`,
      { file: name, found },
    );
  }
  const layers = readLayers(layerTensors, name);
  const tokenWidth = layers[0]!.key.shape[1]!;
  const projection = detectProjection(projectionTensors, tokenWidth, name);
  return {
    name,
    sha256,
    format: checkpoint.format,
    projection,
    tokens: projection.tokens,
    tokenWidth,
    layers,
  };
}

function group(checkpoint: Checkpoint, prefix: string): Map<string, CheckpointTensor> {
  const found = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of checkpoint.tensors)
    if (name.startsWith(prefix)) found.set(name.slice(prefix.length), tensor);
  return found;
}

/** Adapters of transformers (SD3, Flux) look alike from afar. */
function refuseOtherModels(checkpoint: Checkpoint, file: string): void {
  for (const name of checkpoint.tensors.keys()) {
    const sign = /norm_ip|double_blocks|to_[kv]_ip\.bias|(?:^|\.)0\.to_[kv]_ip\./.exec(name)?.[0];
    if (sign === undefined) continue;
    throw new IpgraftError(
      'ADAPTER_NOT_FOR_UNET',
      `${file}: sought an adapter of a UNet, found ${name}, as transformers have it`,
      {
        file,
        found: name,
      },
    );
  }
}

function readLayers(tensors: ReadonlyMap<string, CheckpointTensor>, file: string): AdapterLayer[] {
  const refuse = (message: string, found: readonly string[]) =>
    new IpgraftError('ADAPTER_LAYERS', `${file}: ${message}`, { file, found: [...found] });
  const ids = new Set<number>();
  const strangers: string[] = [];
  for (const name of tensors.keys()) {
    const id = /^(\d+)\.to_[kv]_ip\.weight$/.exec(name)?.[1];
    if (id === undefined) strangers.push(name);
    else ids.add(Number(id));
  }
  if (strangers.length > 0)
    throw refuse(
      `sought ID.to_k_ip.weight and ID.to_v_ip.weight only, found ${strangers[0]}`,
      strangers.slice(0, 8),
    );
  const sorted = [...ids].sort((a, b) => a - b);
  const wrong = sorted.find((id, n) => id !== checkpointId(n));
  if (wrong !== undefined)
    throw refuse(`sought ids 1, 3, 5… without gaps, found ${sorted.join(', ')}`, sorted.map(String));
  const layers = sorted.map((id): AdapterLayer => {
    const [key, value] = ['k', 'v'].map((which) => tensors.get(`${id}.to_${which}_ip.weight`));
    if (key === undefined || value === undefined)
      throw refuse(`layer ${id} has only one of to_k_ip and to_v_ip`, [`${id}`]);
    return { id, key, value };
  });
  if (layers.length === 0) throw refuse('sought layers, found none', []);
  const [first] = layers;
  for (const { id, key, value } of layers) {
    const fits =
      key.shape.length === 2 &&
      key.shape.join() === value.shape.join() &&
      key.shape[1] === first!.key.shape[1];
    if (!fits)
      throw refuse(
        `layer ${id} has the shapes [${key.shape}] and [${value.shape}]; sought two of [h, ${first!.key.shape[1]}]`,
        [`${id}`],
      );
  }
  return layers;
}
