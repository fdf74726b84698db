import type { CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { IpgraftError } from '../../compiler/errors.js';
import { checkpointId } from '../checkpoint-order.js';

/** The image weights of one cross-attention, [h, C] each, as PyTorch keeps a Linear. */
export interface AdapterLayer {
  readonly id: number;
  readonly key: CheckpointTensor;
  readonly value: CheckpointTensor;
}

/** One Linear that a FaceID adapter changes: W + up · down, with up [out, r] and down [r, in]. No other factor: alpha is the rank. */
export interface LoraLayer {
  /** Even ids are self-attentions, odd ones cross-attentions. */
  readonly id: number;
  readonly module: LoraModule;
  readonly down: CheckpointTensor;
  readonly up: CheckpointTensor;
}

/** The Linears of an attention, in the order in which they are used. */
export const LORA_MODULES = ['to_q', 'to_k', 'to_v', 'to_out'] as const;
export type LoraModule = (typeof LORA_MODULES)[number];

const IMAGE_WEIGHT = /^(\d+)\.to_([kv])_ip\.weight$/;
const LORA_WEIGHT = /^(\d+)\.(to_q|to_k|to_v|to_out)_lora\.(down|up)\.weight$/;

/**
 * Reads the layers of an adapter by their ids.
 * @throws IpgraftError `ADAPTER_LAYERS`, `ADAPTER_LORA`
 */
export function readLayers(
  tensors: ReadonlyMap<string, CheckpointTensor>,
  file: string,
): { layers: AdapterLayer[]; lora: LoraLayer[] } {
  const strangers = [...tensors.keys()].filter((name) => !IMAGE_WEIGHT.test(name) && !LORA_WEIGHT.test(name));
  if (strangers.length > 0)
    throw refuse(
      file,
      `sought ID.to_k_ip.weight, ID.to_v_ip.weight and ID.to_…_lora.{down,up}.weight only, found ${strangers[0]}`,
      strangers.slice(0, 8),
    );
  return { layers: readImageLayers(tensors, file), lora: readLora(tensors, file) };
}

function readImageLayers(tensors: ReadonlyMap<string, CheckpointTensor>, file: string): AdapterLayer[] {
  const ids = new Set<number>();
  for (const name of tensors.keys()) {
    const id = IMAGE_WEIGHT.exec(name)?.[1];
    if (id !== undefined) ids.add(Number(id));
  }
  const sorted = [...ids].sort((a, b) => a - b);
  if (sorted.length === 0) throw refuse(file, 'sought layers, found none', []);
  const wrong = sorted.find((id, n) => id !== checkpointId(n));
  if (wrong !== undefined)
    throw refuse(file, `sought ids 1, 3, 5… without gaps, found ${sorted.join(', ')}`, sorted.map(String));
  const layers = sorted.map((id): AdapterLayer => {
    const [key, value] = ['k', 'v'].map((which) => tensors.get(`${id}.to_${which}_ip.weight`));
    if (key === undefined || value === undefined)
      throw refuse(file, `layer ${id} has only one of to_k_ip and to_v_ip`, [`${id}`]);
    return { id, key, value };
  });
  const [first] = layers;
  for (const { id, key, value } of layers) {
    const fits =
      key.shape.length === 2 &&
      key.shape.join() === value.shape.join() &&
      key.shape[1] === first!.key.shape[1];
    if (!fits)
      throw refuse(
        file,
        `layer ${id} has the shapes [${key.shape}] and [${value.shape}]; sought two of [h, ${first!.key.shape[1]}]`,
        [`${id}`],
      );
  }
  return layers;
}

function readLora(tensors: ReadonlyMap<string, CheckpointTensor>, file: string): LoraLayer[] {
  const halves = new Map<string, Partial<Record<'down' | 'up', CheckpointTensor>>>();
  for (const [name, tensor] of tensors) {
    const match = LORA_WEIGHT.exec(name);
    if (match === null) continue;
    const key = `${match[1]} ${match[2]}`;
    halves.set(key, { ...halves.get(key), [match[3]!]: tensor });
  }
  return [...halves]
    .map(([key, { down, up }]): LoraLayer => {
      const [id, module] = key.split(' ') as [string, LoraModule];
      const what = `layer ${id}, ${module}_lora`;
      if (down === undefined || up === undefined)
        throw refuseLora(file, `${what} has only one of down and up`, what);
      const [rank] = down.shape;
      if (down.shape.length !== 2 || up.shape.length !== 2 || up.shape[1] !== rank || rank === 0)
        throw refuseLora(
          file,
          `${what}: sought down [r, in] and up [out, r], found [${down.shape}] and [${up.shape}]`,
          what,
        );
      return { id: Number(id), module, down, up };
    })
    .sort((a, b) => a.id - b.id || LORA_MODULES.indexOf(a.module) - LORA_MODULES.indexOf(b.module));
}

function refuse(file: string, message: string, found: readonly string[]): IpgraftError {
  return new IpgraftError('ADAPTER_LAYERS', `${file}: ${message}`, { file, found: [...found] });
}

function refuseLora(file: string, message: string, layer: string): IpgraftError {
  return new IpgraftError('ADAPTER_LORA', `${file}: ${message}`, { file, layer });
}
