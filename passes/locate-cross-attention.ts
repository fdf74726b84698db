import { leadingTo } from '../compiler/analysis/cone.js';
import { refuseCycles } from '../compiler/analysis/cycles.js';
import type { ScopeSource } from '../compiler/analysis/scope.js';
import { IpgraftError } from '../compiler/errors.js';
import type { FloatType } from '../compiler/onnx/data-type.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import { proposedAttentions, scopeOfAttention } from './attention-scope.js';
import { checkpointId, inCheckpointOrder, type Part, type Place, placeOf } from './checkpoint-order.js';
import { scopeMatcher } from './scope-pattern.js';
import { partsByDataflow } from './skip-connections.js';
import { findTextProjections, type ProjectionPair, type TextProjection } from './text-projections.js';

/** to_k or to_v of the text: `output` [B, L, h] = `input` [B, L, C] × `weight` [C, h]. */
export interface KeyOrValueLayer {
  readonly input: ValueName;
  /** The initializer that holds the weight in floats as it is; `null` where it is packed, fused or quantized. */
  readonly weight: ValueName | null;
  readonly output: ValueName;
}

/** One cross-attention of the UNet, as names: they hold in every graph that edits make of the base. */
export interface CrossAttention {
  /** Its number in a checkpoint: 1, 3, 5… in the order down, up, mid. */
  readonly id: number;
  /** Its module path, such as `down_blocks.0.attentions.0.transformer_blocks.0.attn2`. */
  readonly scope: string;
  /** From where the path was read. */
  readonly source: ScopeSource | 'dataflow';
  readonly place: Place;
  /** Whether the user's pattern selects it. */
  readonly selected: boolean;
  readonly key: KeyOrValueLayer;
  readonly value: KeyOrValueLayer;
  /** Heads, where key and value are one packed value [B, L, 2h], per head its key and then its value; else `null`. */
  readonly packedHeads: number | null;
  /** The value that to_out.0 reads, and its reading. */
  readonly exit: { readonly value: ValueName; readonly node: ValueName; readonly input: number };
  /** What lies between to_k, to_v and the exit and depends on the text tokens, in topological order. */
  readonly cone: readonly ValueName[];
  /** h, the inner width; the width of the query. */
  readonly width: number;
  /** C, the width of the text states. */
  readonly textWidth: number;
  readonly dataType: FloatType;
}

/** Where to look for cross-attentions. */
export interface LocateOptions {
  /** Globs or `/regular expressions/` over scopes; default `**.attn2`. */
  readonly patterns?: readonly string[];
  /** The input with the text states, where it is not called `encoder_hidden_states`. */
  readonly textInput?: string;
}

/** What was found. */
export interface Located {
  readonly textInput: ValueName;
  /** What to_k and to_v read: the text input, or what {@link textLinear} makes of it. */
  readonly textStates: ValueName;
  /** The linear layer that the text passes first, by the values of its nodes, in their order; empty for most UNets. */
  readonly textLinear: readonly ValueName[];
  /** The width of the text input. */
  readonly inputWidth: number;
  /** L, where the text input declares it as a number; else `null`. */
  readonly textTokens: number | null;
  /** Every cross-attention, in checkpoint order, selected or not. */
  readonly attentions: readonly CrossAttention[];
}

/**
 * Finds the cross-attentions of a UNet: **names propose, dataflow confirms**. Dataflow looks for pairs of linear layers
 * that read the text states and meet in one value that a third linear layer (to_out.0) reads; the one whose result goes
 * through a softmax is the key. Names say which module each pair is, hence its place in a checkpoint. A module that the
 * pattern matches and dataflow does not confirm, or the reverse, is a refusal, never a guess. In a model without any names the
 * skip connections tell down, mid and up, and the graph's order does the rest.
 *
 * @throws IpgraftError `MATCH_TEXT_INPUT`, `MATCH_NO_CROSS_ATTENTION`, `MATCH_UNCONFIRMED`, `MATCH_NO_SCOPE`,
 *   `MATCH_PLACE`, `MATCH_PATTERN`, `MATCH_TEXT_WAY`, `MODEL_CYCLE`
 */
export function locateCrossAttention(graph: Graph, options: LocateOptions = {}): Located {
  refuseCycles(graph);
  const { textInput, textStates, linear, pairs } = findTextProjections(graph, options.textInput);
  const attentions = nameAndPlace(graph, pairs, options.patterns ?? [])
    .sort((a, b) => inCheckpointOrder(a.place, b.place))
    .map((site, n) => describeSite(graph, site, checkpointId(n)));
  refuseTwins(attentions);
  if (!attentions.some((attention) => attention.selected)) {
    throw new IpgraftError(
      'MATCH_PATTERN',
      `${options.patterns?.join(', ')} matches none of the ${attentions.length} cross-attentions; the first is ${attentions[0]!.scope}`,
      { patterns: [...(options.patterns ?? [])], found: attentions.map(({ scope }) => scope) },
    );
  }
  const textTokens = graph.inputs.get(textInput)?.shape?.[TOKEN_AXIS];
  return {
    textInput,
    textStates,
    textLinear: linear === null ? [] : [...new Set([linear.node.id, linear.output])],
    inputWidth: linear?.inputWidth ?? attentions[0]!.textWidth,
    textTokens: typeof textTokens === 'number' ? textTokens : null,
    attentions,
  };
}

const TOKEN_AXIS = 1;

interface Site {
  readonly pair: ProjectionPair;
  readonly scope: string;
  readonly source: CrossAttention['source'];
  readonly place: Place;
  readonly selected: boolean;
}

function nameAndPlace(graph: Graph, pairs: readonly ProjectionPair[], patterns: readonly string[]): Site[] {
  const named = pairs.map((pair) => ({ pair, scope: scopeOfAttention(graph, pair) }));
  if (named.every(({ scope }) => scope === undefined)) return placeByDataflow(graph, pairs, patterns);
  const matches = scopeMatcher(patterns);
  const sites = named.map(({ pair, scope }): Site => {
    if (scope === undefined) throw noScope(pair);
    return {
      pair,
      scope: scope.path,
      source: scope.source,
      place: placeOf(scope.path),
      selected: matches(scope.path),
    };
  });
  refuseUnconfirmed(graph, sites, matches);
  return sites;
}

/** Names that a model without names gets for its attentions, so that patterns and inserted names have something to hold on to. */
const ANONYMOUS: Readonly<Record<Part, string>> = { down: 'down_blocks', mid: 'mid_block', up: 'up_blocks' };

function placeByDataflow(
  graph: Graph,
  pairs: readonly ProjectionPair[],
  patterns: readonly string[],
): Site[] {
  const inGraphOrder = pairs.toSorted((a, b) => graph.position(a.exit.node) - graph.position(b.exit.node));
  const parts = partsByDataflow(
    graph,
    inGraphOrder.map(({ exit }) => exit.node),
  );
  const matches = scopeMatcher(patterns);
  const counts: Record<Part, number> = { down: 0, mid: 0, up: 0 };
  return inGraphOrder.map((pair): Site => {
    const part = parts.get(pair.exit.node)!;
    const number = counts[part]++;
    const scope = `${ANONYMOUS[part]}.${number}.attn2`;
    return { pair, scope, source: 'dataflow', place: { part, numbers: [number] }, selected: matches(scope) };
  });
}

/** Modules that names propose and the pattern selects, but dataflow did not find (or could not). */
function refuseUnconfirmed(graph: Graph, sites: readonly Site[], matches: (scope: string) => boolean): void {
  const confirmed = new Set(sites.map(({ scope }) => scope));
  const proposed = [...proposedAttentions(graph)].filter(matches);
  const missing = proposed.filter((scope) => !confirmed.has(scope));
  if (missing.length === 0) return;
  throw new IpgraftError(
    'MATCH_UNCONFIRMED',
    `${missing.length} of ${proposed.length} matching attentions are no cross-attentions by dataflow; the first is ${missing[0]}`,
    { unconfirmed: missing, confirmed: confirmed.size },
  );
}

/** Two attentions of one place would share weights of one id. */
function refuseTwins(attentions: readonly CrossAttention[]): void {
  attentions.forEach((attention, i) => {
    const next = attentions[i + 1];
    if (next === undefined || inCheckpointOrder(attention.place, next.place) !== 0) return;
    const scopes = [attention.scope, next.scope];
    throw new IpgraftError('MATCH_PLACE', `${scopes.join(' and ')} have the same place in the UNet`, {
      scopes,
    });
  });
}

function describeSite(graph: Graph, { pair, ...site }: Site, id: number): CrossAttention {
  const { key, value, exit } = pair;
  const { inputWidth: textWidth, dataType } = key.layer;
  const { width } = key;
  if (value.width !== width || value.layer.inputWidth !== textWidth || value.layer.dataType !== dataType) {
    throw new IpgraftError(
      'MATCH_UNCONFIRMED',
      `${site.scope}: to_k is [${textWidth}, ${width}], to_v is [${value.layer.inputWidth}, ${value.width}]; sought equal shapes`,
      { scope: site.scope },
    );
  }
  const exitValue = exit.node.inputs[exit.input]!;
  return {
    ...site,
    id,
    key: layerNames(key),
    value: layerNames(value),
    packedHeads: pair.packedHeads,
    exit: { value: exitValue, node: exit.node.id, input: exit.input },
    cone: leadingTo(graph, exitValue, pair.nodes).map((node) => node.id),
    width,
    textWidth,
    dataType,
  };
}

function layerNames({ layer, output, width }: TextProjection): KeyOrValueLayer {
  return { input: layer.input, weight: width === layer.outputWidth ? layer.weight : null, output };
}

function noScope({ exit }: ProjectionPair): IpgraftError {
  const { label } = exit.node;
  return new IpgraftError(
    'MATCH_NO_SCOPE',
    `no name tells the module of the cross-attention that ends in ${label}`,
    { node: label },
  );
}
