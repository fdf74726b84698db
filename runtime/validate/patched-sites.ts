import { layersAt } from '../../compiler/analysis/linear-layer.js';
import { parseJournal } from '../../compiler/edit/journal.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { ValueName } from '../../compiler/onnx/node.js';
import type { EmbedsScaling } from '../../passes/embeds-scaling.js';
import {
  type CrossAttention,
  type Located,
  locateCrossAttention,
} from '../../passes/locate-cross-attention.js';
import { imageStatesOf, imageTokensOf } from '../../passes/names.js';
import { parseScale } from '../../passes/parse-scale.js';
import type { Scale } from '../../passes/scale.js';
import { JOURNAL_KEY } from '../../passes/stamp-metadata.js';
import { layerWeights } from '../../passes/weight-types.js';
import type { OpenedModel } from '../open.js';
import type { ReadStamp } from '../stamp.js';
import { type AttentionInputs, attentionInputs } from './attention-inputs.js';

/** Image tokens that are attended to under one softmax. */
export interface Stream {
  /** Among all streams, from 0: in `ip_mask`. */
  readonly index: number;
  readonly adapter: number;
  /** Which of the adapter's tokens it has. */
  readonly begin: number;
  readonly tokens: number;
}

/** What one stream adds at one cross-attention, by what the patched file says of its making. */
export interface ImageTerm {
  readonly stream: Stream;
  /** What the scale is multiplied with: the layer's weight. */
  readonly factor: number;
  /** Whether negative rows read the tokens of positive rows, and those none. */
  readonly isSwapped: boolean;
}

/** A linear layer as float initializers and what it makes. */
export interface OutLayer {
  readonly weight: ValueName;
  readonly bias: ValueName | null;
  readonly output: ValueName;
}

/** One cross-attention of a patched model. */
export interface PatchedSite {
  readonly attention: CrossAttention;
  /** In words, where the export's form was not understood. */
  readonly inputs: AttentionInputs | string;
  /** What to_out reads, [B, S, h]: the text's attention and all image terms. */
  readonly sum: ValueName;
  /**
   * to_out.0; its output is what stands in the patched model where the base reads to_out's result. `null` where its weight is no float
   * initializer of its own.
   */
  readonly out: OutLayer | null;
  readonly terms: readonly ImageTerm[];
}

/** The cross-attentions of a patched model, and what they have in common. */
export interface PatchedSites {
  readonly base: Graph;
  readonly located: Located;
  readonly streams: readonly Stream[];
  readonly scale: Scale;
  readonly scaling: EmbedsScaling;
  /** Those that were patched, in checkpoint order. */
  readonly sites: readonly PatchedSite[];
}

/** A model with adapters, not one that drops image tokens. */
export type AdapterOptions = Extract<ReadStamp['ipgraft.options'], { readonly tokens: unknown }>;

/**
 * Finds what was patched: locates the cross-attentions in the base. Edits never rename a value, so what is found there holds in the patched
 * graph, and the journal says which of them have an image attention.
 * @throws IpgraftError `MATCH_*`, `EDIT_JOURNAL_MALFORMED`
 */
export function patchedSites(
  base: Graph,
  { graph }: OpenedModel,
  stamp: ReadStamp,
  options: AdapterOptions,
): PatchedSites {
  const journal = parseJournal(graph.metadata.get(JOURNAL_KEY)!);
  const located = locateCrossAttention(base, {
    textInput: stamp['ipgraft.input'],
    patterns: options.patterns,
  });
  const { attentions } = located;
  const adapters = stamp['ipgraft.adapters'];
  const streams = streamsOf(adapters, options.masks);
  const scale = parseScale(options.scale, attentions, adapters.length);
  const weights =
    options.weightType === undefined ? null : layerWeights(weightTypeOf(options.weightType), attentions);
  const rewired = new Set(
    journal.flatMap((entry) => (entry.kind === 'rewire' ? [`${entry.node} ${entry.input}`] : [])),
  );
  const sites = attentions
    .filter(({ exit }) => rewired.has(`${exit.node} ${exit.input}`))
    .map((attention): PatchedSite => {
      const { factor, swapped } = weights?.get(attention.id) ?? { factor: 1, swapped: false };
      const { exit } = attention;
      return {
        attention,
        inputs: attentionInputs(base, attention),
        sum: graph.producer(exit.node)!.inputs[exit.input]!,
        out: outOf(base, graph, exit.node),
        terms: streams
          .filter(({ adapter }) => scale.kind !== 'constant' || scale.of(adapter, attention) !== 0)
          .map((stream) => ({ stream, factor, isSwapped: swapped })),
      };
    });
  return { base, located, streams, scale, scaling: options.embedsScaling, sites };
}

function streamsOf(adapters: ReadStamp['ipgraft.adapters'], masks: boolean): Stream[] {
  return adapters
    .flatMap(({ tokens, images }, adapter) =>
      masks
        ? Array.from({ length: images }, (_, image) => ({ adapter, begin: image * tokens, tokens }))
        : [{ adapter, begin: 0, tokens: tokens * images }],
    )
    .map((stream, index) => ({ ...stream, index }));
}

/** Where a stream's tokens are when to_k_ip reads them. */
export function statesOf(graph: Graph, { index }: Stream): ValueName {
  const projected = imageStatesOf(index);
  return graph.producer(projected) === undefined ? imageTokensOf(index) : projected;
}

/** A LoRA has another weight in the patched model; everything else of to_out is the base's. */
function outOf(base: Graph, patched: Graph, id: ValueName): OutLayer | null {
  const [layer, now] = [outLayer(base, id), outLayer(patched, id)];
  const [reading] = layer === null ? [] : base.uses(layer.output);
  if (layer === null || now === null || reading === undefined) return null;
  const output = patched.producer(reading.node.id)!.inputs[reading.input]!;
  return { weight: now.weight, bias: layer.bias, output };
}

/** A linear layer as its float initializers; `null` where it has none of its own. */
export function outLayer(graph: Graph, id: ValueName): OutLayer | null {
  const [layer] = layersAt(graph, graph.producer(id)!);
  if (layer?.weight == null) return null;
  const { weight, output, node } = layer;
  if (output === node.id) return { weight, bias: null, output };
  const bias = graph.producer(output)!.inputs.find((input) => input !== node.id)!;
  return graph.initializers.has(bias) ? { weight, bias, output } : null;
}

function weightTypeOf({ name, composition, boost }: NonNullable<AdapterOptions['weightType']>) {
  return { name, ...(composition !== undefined && { composition }), ...(boost !== undefined && { boost }) };
}
