import type { Graph } from '../../compiler/onnx/graph.js';
import { MASK_INPUT } from '../../passes/insert-image-mask.js';
import { KV_INPUT } from '../../passes/insert-kv-input.js';
import { adapterSuffix } from '../../passes/names.js';
import { SCALE_INPUT } from '../../passes/scale-values.js';
import type { Values } from '../session/session.js';
import type { ReadStamp } from '../stamp.js';
import { normalNumbers, type Shapes, seededInputs } from './seeded-inputs.js';

type Feeds = Readonly<Record<string, Values>>;

/** A patched model's inputs: the base's, and what the image brings. */
export interface ImageInputs {
  /** Tokens of seeded numbers, scale 1. */
  readonly on: Feeds;
  /** The adapter switched off, by its scale or by tokens of zeros; `null` where neither is in the caller's hand. */
  readonly off: { readonly by: string; readonly feeds: Feeds } | null;
  /** What a caller gives who knows nothing of image tokens: text alone, the adapter off where a scale does it. */
  readonly textAlone: Feeds;
  /** Image tokens of zeros, scale 1; `null` where tokens are made inside of the model. */
  readonly zeros: Feeds | null;
  /** The tokens of {@link on}, those of each image in the reverse order; `null` as above. */
  readonly reversed: Feeds | null;
}

/** Extends a base's inputs to those of a model that was patched as `stamp` says. */
export function imageInputs(
  graph: Graph,
  stamp: ReadStamp,
  ofBase: Feeds,
  seed: number,
  shapes: Shapes,
): ImageInputs {
  const seeded = seededInputs(graph, seed, shapes, rowsOf(ofBase));
  const base = batchedAs(seeded, ofBase);
  const text = base[stamp['ipgraft.input']];
  const extra = Object.entries(seeded).filter(([name]) => !(name in base));
  // onnxruntime-node does not let a caller override a default.
  const hasScale = graph.inputs.has(SCALE_INPUT) && !graph.initializers.has(SCALE_INPUT);
  const brought = extra.filter(([name]) => name !== SCALE_INPUT);
  const total = tokensBehindText(stamp);
  const normal = normalNumbers(seed + 1);
  const feeds = (number: () => number, scale: number): Feeds => ({
    ...base,
    ...Object.fromEntries(
      brought.map(([name, { dims }]) => [name, filled(dims, name === MASK_INPUT ? normal : number)]),
    ),
    ...(total > 0 && text && { [stamp['ipgraft.input']]: withTokens(text, total, number) }),
    ...(hasScale && { [SCALE_INPUT]: filled(Object.fromEntries(extra)[SCALE_INPUT]!.dims, () => scale) }),
  });
  const options = stamp['ipgraft.options'];
  const isOutside = !('tokens' in options) || options.hoist || options.tokens !== 'embeds';
  const on = feeds(normal, 1);
  const zeros = isOutside ? feeds(() => 0, 1) : null;
  return {
    on,
    zeros,
    reversed: isOutside ? reversedTokens(on, stamp) : null,
    off: hasScale
      ? { by: 'scale 0', feeds: feeds(normal, 0) }
      : zeros && { by: isGrafted(options) ? 'image tokens of zeros' : 'having none', feeds: zeros },
    textAlone: { ...feeds(normal, 0), ...(text && { [stamp['ipgraft.input']]: text }) },
  };
}

function isGrafted(options: ReadStamp['ipgraft.options']): boolean {
  return 'tokens' in options || 'dropImageTokens' in options;
}

/** The batch: what the inputs have in front that are more than a number. */
function rowsOf(feeds: Feeds): number | undefined {
  return Object.values(feeds).find(({ dims }) => dims.length > 1)?.dims[0];
}

/** The base's inputs, each number for all rows repeated for every row where the patched model takes one for each. */
function batchedAs(seeded: Feeds, base: Feeds): Feeds {
  return Object.fromEntries(
    Object.entries(base).map(([name, values]) => {
      const dims = seeded[name]?.dims ?? values.dims;
      const isRepeated = values.data.length === 1 && dims.length === 1;
      return [name, isRepeated ? filled(dims, () => values.data[0]!) : values];
    }),
  );
}

/** The inputs with image tokens of their own, by adapter. */
export const TOKEN_INPUTS = ['ip_hidden_states', KV_INPUT] as const;

function reversedTokens(on: Feeds, stamp: ReadStamp): Feeds {
  const reversed: Record<string, Values> = { ...on };
  let behind = tokensBehindText(stamp);
  stamp['ipgraft.adapters'].forEach(({ tokens, images }, adapter) => {
    const names = TOKEN_INPUTS.map((name) => `${name}${adapterSuffix(adapter)}`).filter((name) => name in on);
    const name = names[0] ?? stamp['ipgraft.input'];
    const begin = names.length > 0 ? 0 : on[name]!.dims[1]! - behind;
    behind -= tokens * images;
    for (let image = 0; image < images; image++)
      reversed[name] = withReversed(reversed[name]!, begin + image * tokens, tokens);
  });
  return reversed;
}

/** [B, L, C] with `count` tokens from `begin` on in the reverse order. */
function withReversed({ dims, data }: Values, begin: number, count: number): Values {
  const [rows, length, width] = dims as [number, number, number];
  const turned = data.slice();
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < count; i++) {
      const from = (row * length + begin + i) * width;
      turned.set(data.subarray(from, from + width), (row * length + begin + count - 1 - i) * width);
    }
  return { dims, data: turned };
}

/** How many image tokens the text input carries behind the text. */
export function tokensBehindText(stamp: ReadStamp): number {
  const options = stamp['ipgraft.options'];
  if ('dropImageTokens' in options) return options.dropImageTokens;
  if (!('tokens' in options) || options.tokens !== 'split') return 0;
  return stamp['ipgraft.adapters'].reduce((sum, { tokens, images }) => sum + tokens * images, 0);
}

function filled(dims: readonly number[], number: () => number): Values {
  return { dims, data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, number) };
}

/** [B, L, C] → [B, L + `count`, C]. */
function withTokens({ dims, data }: Values, count: number, number: () => number): Values {
  const [rows, length, width] = dims as [number, number, number];
  const longer = Float32Array.from({ length: rows * (length + count) * width }, number);
  for (let row = 0; row < rows; row++)
    longer.set(
      data.subarray(row * length * width, (row + 1) * length * width),
      row * (length + count) * width,
    );
  return { dims: [rows, length + count, width], data: longer };
}
