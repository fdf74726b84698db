import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { ValueName } from '../../compiler/onnx/node.js';
import { MASK_INPUT } from '../../passes/insert-image-mask.js';
import type { CrossAttention } from '../../passes/locate-cross-attention.js';
import { SCALE_INPUT } from '../../passes/scale-values.js';
import type { Values } from '../session/session.js';
import { attention, type ImageTermValues, linear, repeatRows } from './attention-formula.js';
import type { AttentionInputs, Heads } from './attention-inputs.js';
import type { HoistedKv } from './hoisted-kv.js';
import type { ImageWeights } from './image-weights.js';
import { maskAtQueries } from './mask-formula.js';
import { type ImageTerm, type PatchedSite, type PatchedSites, statesOf } from './patched-sites.js';
import type { TensorFlow } from './second-engine.js';

/** One run of a patched model: what it was given, what it gave, and what it should have been computed with. */
export interface Probe {
  readonly tf: TensorFlow;
  readonly graph: Graph;
  readonly found: PatchedSites;
  readonly weights: ImageWeights;
  readonly hoisted: HoistedKv | null;
  readonly feeds: Readonly<Record<string, Values>>;
  readonly results: ReadonlyMap<ValueName, Values>;
}

/** What one cross-attention computes with in a run. Its tensors are the caller's to dispose. */
export interface SiteValues {
  readonly site: PatchedSite;
  readonly query: Tensor3D;
  readonly heads: number;
  /** What the second engine makes of the text's keys and values; `null` where that is not known. */
  readonly text: Tensor3D | null;
  /** The same as the model has it. */
  readonly modelText: Tensor3D;
  /** What is added to the scores of the text. */
  readonly textMask: Tensor4D | null;
  readonly terms: readonly ImageTermValues[];
}

/** The values that a site is recomputed from, and those that it is compared in. */
export function valuesOf(
  graph: Graph,
  { attention: { key, value, exit }, inputs, sum, out, terms }: PatchedSite,
): ValueName[] {
  if (typeof inputs === 'string') return [];
  const { query, heads, mask } = inputs;
  const states = terms.map(({ stream }) => statesOf(graph, stream));
  return [
    ...[query, key.output, value.output, exit.value, sum],
    ...('queryAtScores' in heads ? [heads.queryAtScores] : []),
    ...(mask === null ? [] : [mask]),
    ...(out === null ? [] : [out.output]),
    ...states.filter((name) => graph.producer(name) !== undefined),
  ];
}

/** A tensor of numbers with a shape. */
export function tensorOf<T extends Tensor>(tf: TensorFlow, { dims, data }: Values): T {
  return tf.tensor(data, [...dims]) as T;
}

/** Reads a site's values in a run; in words, where they have not the shapes that they should have. */
export async function siteValues(probe: Probe, site: PatchedSite): Promise<SiteValues | string> {
  const { tf, results } = probe;
  const inputs = site.inputs as AttentionInputs;
  const { key, value, exit, width, packedHeads } = site.attention;
  const queryValues = results.get(inputs.query)!;
  if (queryValues.dims.length !== 3 || queryValues.dims[2] !== width)
    return `the query is [${queryValues.dims}], sought [B, S, ${width}]`;
  const heads = headCount(inputs.heads, width, results);
  const query = tensorOf<Tensor3D>(tf, queryValues);
  const textMask =
    inputs.mask === null ? null : scoreMask(tf, results.get(inputs.mask)!, queryValues.dims[0]!);
  const text =
    inputs.textUnknown === null
      ? tf.tidy(() => {
          const [k, v] =
            packedHeads === null
              ? [key, value].map(({ output }) => tensorOf<Tensor3D>(tf, results.get(output)!))
              : unpack(tf, tensorOf<Tensor3D>(tf, results.get(key.output)!), packedHeads);
          return attention(tf, query, k!, v!, heads, textMask);
        })
      : null;
  const terms: ImageTermValues[] = [];
  for (const term of site.terms) terms.push(await termValues(probe, site.attention, term, queryValues.dims));
  return { site, query, heads, text, modelText: tensorOf(tf, results.get(exit.value)!), textMask, terms };
}

function headCount(heads: Heads, width: number, results: Probe['results']): number {
  return 'count' in heads ? heads.count : width / results.get(heads.queryAtScores)!.dims.at(-1)!;
}

/** What is added to scores, as [B, H, S, L] with 1 where it is the same for all. Classic attention has [B · H, S, L]. */
function scoreMask(tf: TensorFlow, { dims, data }: Values, rows: number): Tensor4D {
  const [first = 1, ...rest] = dims.length === 4 ? [] : dims;
  const shape = dims.length === 4 ? dims : first % rows === 0 ? [rows, first / rows, ...rest] : [1, ...dims];
  return tf.tensor(data, shape as [number, number, number, number]);
}

/** [B, L, 2h], per head its key and then its value → [B, L, h] twice. */
function unpack(tf: TensorFlow, packed: Tensor3D, heads: number): Tensor3D[] {
  const [rows, tokens, both] = packed.shape;
  const split = tf.reshape(packed, [rows, tokens, heads, 2, both / 2 / heads]);
  return tf.unstack(split, 3).map((half) => tf.reshape(half, [rows, tokens, both / 2]));
}

async function termValues(
  probe: Probe,
  attention: CrossAttention,
  term: ImageTerm,
  [rows, queries]: readonly number[],
): Promise<ImageTermValues> {
  const { tf, feeds, graph } = probe;
  const [key, value] = await imageKeyValue(probe, attention, term, rows!);
  const scales = scaleOf(probe, attention, term);
  const scale = tf.tensor3d(scales, [scales.length, 1, 1]);
  const mask =
    feeds[MASK_INPUT] === undefined
      ? null
      : tensorOf<Tensor3D>(
          tf,
          maskAtQueries(ofOne(graph, MASK_INPUT, feeds[MASK_INPUT], term.stream.index), queries!),
        );
  return { key, value, scale, mask };
}

/** K' and V' of a stream, [B, T, h], from its tokens and a layer's weights; `tokensOf` is another stream where weights do not fit tokens. */
export async function imageKeyValue(
  { tf, graph, weights, hoisted, results }: Probe,
  attention: CrossAttention,
  { stream, isSwapped }: ImageTerm,
  rows: number,
  tokensOf = stream,
): Promise<[Tensor3D, Tensor3D]> {
  if (hoisted !== null) {
    const parts = hoisted.of(attention, tokensOf);
    return parts.map((values) => repeated(tf, tensorOf<Tensor3D>(tf, values), rows)) as [Tensor3D, Tensor3D];
  }
  const { k, v } = await weights.of(stream.adapter, attention);
  return tf.tidy(() => {
    const states = tensorOf<Tensor3D>(tf, results.get(statesOf(graph, tokensOf))!);
    const tokens = repeated(tf, isSwapped ? swapRows(tf, states) : states, rows);
    return [k, v].map((weight) => linear(tf, tokens, tensorOf<Tensor2D>(tf, weight))) as [Tensor3D, Tensor3D];
  });
}

function repeated(tf: TensorFlow, x: Tensor3D, rows: number): Tensor3D {
  return x.shape[0] === 1 ? tf.tile(x, [rows, 1, 1]) : repeatRows(tf, x, rows / x.shape[0]);
}

/**
 * The negative rows, the first half, get the tokens of the positive ones, and those get zeros.
 *
 * Source: the “precise” weight types of cubiq/ComfyUI_IPAdapter_plus, CrossAttentionPatch.py.
 */
function swapRows(tf: TensorFlow, tokens: Tensor3D): Tensor3D {
  const [rows, count, width] = tokens.shape;
  const negative = Math.floor(rows / 2);
  const positive = tf.slice(tokens, [rows - negative, 0, 0], [negative, count, width]);
  return tf.concat([positive, tf.zeros([rows - negative, count, width])], 0) as Tensor3D;
}

/** λ by what the caller gave and the file says: one number, or one for each row. */
export function scaleOf(
  { found: { scale, located }, feeds, graph }: Probe,
  attention: CrossAttention,
  term: ImageTerm,
): number[] {
  const given = () => ofOne(graph, SCALE_INPUT, feeds[SCALE_INPUT]!, term.stream.adapter).data;
  const of = (): number[] => {
    switch (scale.kind) {
      case 'constant':
        return [scale.of(term.stream.adapter, attention)];
      case 'optional':
        return [scale.value];
      case 'layers':
        return everyNth(given(), located.attentions.length, located.attentions.indexOf(attention));
      default:
        return [...given()];
    }
  };
  return of().map((value) => value * term.factor);
}

/**
 * What an input holds for one adapter or image: [adapters or images, …] → […]. Of a batched model, [B, adapters or images, …] → [B, …].
 */
function ofOne(graph: Graph, input: ValueName, { dims, data }: Values, index: number): Values {
  const isBatched = typeof graph.inputs.get(input)?.shape?.[0] !== 'number';
  const [rows, [count, ...rest]] = isBatched ? [dims[0]!, dims.slice(1)] : [1, dims];
  const size = data.length / rows / count!;
  const parts = Array.from({ length: rows }, (_, row) => {
    const begin = (row * count! + index) * size;
    return [...data.subarray(begin, begin + size)];
  });
  return { dims: isBatched ? [rows, ...rest] : rest, data: Float32Array.from(parts.flat()) };
}

function everyNth(values: Float32Array, n: number, offset: number): number[] {
  return [...values].filter((_, i) => i % n === offset);
}
