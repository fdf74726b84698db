import type { Checkpoint, CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { findPlace, inCheckpointOrder } from '../checkpoint-order.js';
import { projectionFromDiffusers } from './diffusers-projection.js';

type Tensors = ReadonlyMap<string, CheckpointTensor>;

/** The two groups of an adapter under the names of the published files. */
export interface AdapterTensors {
  /** `proj.weight`, `norm.bias`, …: without `image_proj.` */
  readonly projection: Tensors;
  /** `1.to_k_ip.weight`, `0.to_q_lora.down.weight`, …: without `ip_adapter.` */
  readonly layers: Tensors;
}

/**
 * The adapters that a checkpoint holds, whatever container they came in:
 *
 * - the published one, `image_proj.…` and `ip_adapter.ID.…`, or with `adapter_modules.` for the second;
 * - with layers keyed by module (`ip_adapter.down_blocks.….attn2.processor.to_k_ip.weight`);
 * - the state of a training run: `image_proj_model.…`, `adapter_modules.ID.…`, and `unet.….processor.…`, which alone is left of the
 *   layers where a file stores shared tensors once;
 * - the state of diffusers' UNet, which may hold several: `….processor.to_k_ip.0.weight`, `encoder_hid_proj.image_projection_layers.0.…`.
 *
 * Empty when it is none of them.
 */
export function adaptersOf({ tensors }: Checkpoint): AdapterTensors[] {
  const loaded = fromDiffusers(tensors);
  if (loaded.length > 0) return loaded;
  const projection = first(tensors, ['image_proj.', 'image_proj_model.']);
  const layers = first(tensors, ['ip_adapter.', 'adapter_modules.', 'unet.']);
  return projection.size > 0 && layers.size > 0 ? [{ projection, layers: byId(layers) }] : [];
}

/** The first of the groups that has members, without its prefix. */
function first(tensors: Tensors, prefixes: readonly string[]): Tensors {
  for (const prefix of prefixes) {
    const found = group(tensors, prefix);
    // A whole UNet is no layer of an adapter.
    const own = prefix === 'unet.' ? new Map([...found].filter(([name]) => PROCESSOR.test(name))) : found;
    if (own.size > 0) return own;
  }
  return new Map();
}

function group(tensors: Tensors, prefix: string): Map<string, CheckpointTensor> {
  return new Map(
    [...tensors]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}

/** A layer's name by its module: path of the transformer block, which of its attentions, and what of it. */
const PROCESSOR = /^(.+)\.attn([12])\.processor\.(to_(?:q|k|v|out)_(?:ip|lora)\..+)$/;

/** Names by module → names by id. Names that are neither stay as they are, for the reader to refuse. */
function byId(layers: Tensors): Tensors {
  const matches = [...layers].map(([name, tensor]) => ({ name, tensor, match: PROCESSOR.exec(name) }));
  if (matches.every(({ match }) => match === null)) return layers;
  const ids = blockIds(matches.flatMap(({ match }) => (match === null ? [] : [match[1]!])));
  return new Map(
    matches.map(({ name, tensor, match }) =>
      match === null ? [name, tensor] : [`${idOf(ids, match[1]!, match[2]!)}.${match[3]}`, tensor],
    ),
  );
}

/** Transformer blocks in checkpoint order; each has a self-attention and a cross-attention. */
function blockIds(paths: readonly string[]): Map<string, number> {
  const blocks = [...new Set(paths)].flatMap((path) => {
    const place = findPlace(path);
    return place === undefined ? [] : [{ path, place }];
  });
  blocks.sort((a, b) => inCheckpointOrder(a.place, b.place));
  return new Map(blocks.map(({ path }, n) => [path, 2 * n]));
}

/** A path that is none of a UNet's gives no number, and the reader refuses its name. */
function idOf(ids: ReadonlyMap<string, number>, block: string, attention: string): number | string {
  const first = ids.get(block);
  return first === undefined ? block : first + Number(attention) - 1;
}

const LOADED_LAYER = /^(.+)\.attn2\.processor\.(to_[kv]_ip)\.(\d+)\.weight$/;
const LOADED_LORA = /^(.+)\.attn([12])\.(to_[qkv]|to_out)(?:\.0)?\.lora_([AB])\.faceid_(\d+)\.weight$/;
const LOADED_PROJECTION = 'encoder_hid_proj.image_projection_layers.';

/** What `load_ip_adapter` made of adapters within a UNet. Source: diffusers' loaders/unet.py. */
function fromDiffusers(tensors: Tensors): AdapterTensors[] {
  const layers: {
    index: string;
    block: string;
    attention: string;
    what: string;
    tensor: CheckpointTensor;
  }[] = [];
  for (const [name, tensor] of tensors) {
    const layer = LOADED_LAYER.exec(name);
    if (layer !== null) {
      const [, block, what, index] = layer as unknown as string[];
      layers.push({ index: index!, block: block!, attention: '2', what: `${what}.weight`, tensor });
    }
    const lora = LOADED_LORA.exec(name);
    if (lora !== null) {
      const [, block, attention, module, half, index] = lora as unknown as string[];
      const what = `${module}_lora.${half === 'A' ? 'down' : 'up'}.weight`;
      layers.push({ index: index!, block: block!, attention: attention!, what, tensor });
    }
  }
  const ids = blockIds(layers.map(({ block }) => block));
  const indices = [...new Set(layers.map(({ index }) => index))].sort((a, b) => Number(a) - Number(b));
  return indices.map((index) => ({
    projection: projectionFromDiffusers(group(tensors, `${LOADED_PROJECTION}${index}.`)),
    layers: new Map(
      layers
        .filter((layer) => layer.index === index)
        .map(({ block, attention, what, tensor }) => [`${idOf(ids, block, attention)}.${what}`, tensor]),
    ),
  }));
}
