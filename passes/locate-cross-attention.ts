import { type Downstream, downstream, leadingTo } from '../compiler/analysis/cone.js';
import { isConstant, weightOf } from '../compiler/analysis/constants.js';
import { moduleOfParameter, type Scope, type ScopeSource, scopeOf } from '../compiler/analysis/scope.js';
import { IpgraftError } from '../compiler/errors.js';
import { dataTypeName, type FloatType, isFloatType } from '../compiler/onnx/data-type.js';
import type { Graph, Use } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';
import { checkpointId, inCheckpointOrder, type Place, placeOf } from './checkpoint-order.js';
import { scopeMatcher } from './scope-pattern.js';

/** to_k or to_v of the text: `output` [B, L, h] = `input` [B, L, C] × `weight` [C, h]. */
export interface TextProjection {
  readonly input: ValueName;
  readonly weight: ValueName;
  readonly output: ValueName;
}

/** One cross-attention of the UNet, as names: they hold in every graph that edits make of the base. */
export interface CrossAttention {
  /** Its number in a checkpoint: 1, 3, 5… in the order down, up, mid. */
  readonly id: number;
  /** Its module path, such as `down_blocks.0.attentions.0.transformer_blocks.0.attn2`. */
  readonly scope: string;
  /** From where the path was read. */
  readonly source: ScopeSource;
  readonly place: Place;
  /** Whether the user's pattern selects it. */
  readonly selected: boolean;
  readonly key: TextProjection;
  readonly value: TextProjection;
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

export interface Located {
  readonly textInput: ValueName;
  /** Every cross-attention, in checkpoint order, selected or not. */
  readonly attentions: readonly CrossAttention[];
}

/**
 * Finds the cross-attentions of a UNet: **names propose, dataflow confirms**. Dataflow looks for pairs of linear layers
 * that read the text states and meet in one value that a third linear layer (to_out.0) reads; the one whose result goes
 * through a softmax is the key. Names say which module each pair is, hence its place in a checkpoint. A module that the
 * pattern matches and dataflow does not confirm, or the reverse, is a refusal, never a guess.
 *
 * @throws IpgraftError `MATCH_TEXT_INPUT`, `MATCH_NO_CROSS_ATTENTION`, `MATCH_UNCONFIRMED`, `MATCH_NO_SCOPE`,
 *   `MATCH_PLACE`, `MATCH_PATTERN`, `MODEL_TYPE_UNSUPPORTED`
 */
export function locateCrossAttention(graph: Graph, options: LocateOptions = {}): Located {
  const { textInput, pairs } = findPairs(graph, options.textInput);
  const matches = scopeMatcher(options.patterns ?? []);
  const found = pairs.map((pair) => ({ pair, scope: scopeOfPair(graph, pair) }));
  refuseUnconfirmed(graph, new Set(found.map(({ scope }) => scope.path)), matches);
  const attentions = found
    .map(({ pair, scope }) => ({ pair, scope, place: placeOf(scope.path) }))
    .sort((a, b) => inCheckpointOrder(a.place, b.place))
    .map(({ pair, scope, place }, n) =>
      describePair(graph, pair, scope, place, checkpointId(n), matches(scope.path)),
    );
  refuseTwins(attentions);
  if (!attentions.some((attention) => attention.selected)) {
    throw new IpgraftError(
      'MATCH_PATTERN',
      `${options.patterns?.join(', ')} matches none of the ${attentions.length} cross-attentions; the first is ${attentions[0]!.scope}`,
      { patterns: [...(options.patterns ?? [])], found: attentions.map(({ scope }) => scope) },
    );
  }
  return { textInput, attentions };
}

/** A linear layer that reads the text, and what follows from it. */
interface Projection {
  readonly node: Node;
  readonly after: Downstream;
}

interface Pair {
  readonly key: Projection;
  readonly value: Projection;
  readonly exit: Use;
}

const USUAL_TEXT_INPUT = 'encoder_hidden_states';

function findPairs(graph: Graph, named: string | undefined): { textInput: ValueName; pairs: Pair[] } {
  const candidates = [...graph.inputs.values()].filter(
    (input) => isFloatType(input.dataType) && input.shape?.length === 3,
  );
  const names = candidates.map((input) => input.name);
  if (named !== undefined && !graph.inputs.has(named))
    throw textInputMissing(named, [...graph.inputs.keys()]);
  const wanted = named ?? (graph.inputs.has(USUAL_TEXT_INPUT) ? USUAL_TEXT_INPUT : undefined);
  if (wanted !== undefined) {
    const pairs = pairsFrom(graph, wanted);
    if (pairs.length > 0) return { textInput: wanted, pairs };
    throw new IpgraftError(
      'MATCH_NO_CROSS_ATTENTION',
      `sought pairs of linear layers that read ${wanted} and meet behind a softmax, found none`,
      { textInput: wanted },
    );
  }
  const serving = names
    .map((textInput) => ({ textInput, pairs: pairsFrom(graph, textInput) }))
    .filter(({ pairs }) => pairs.length > 0);
  if (serving.length !== 1)
    throw textInputMissing(USUAL_TEXT_INPUT, serving.length === 0 ? names : serving.map((s) => s.textInput));
  return serving[0]!;
}

/** Operators that hand the text on as it is. */
const HANDS_ON: ReadonlySet<string> = new Set(['Cast', 'Identity']);

function pairsFrom(graph: Graph, textInput: ValueName): Pair[] {
  const byExit = new Map<Node, { exit: Use; projections: Projection[] }>();
  const texts = [textInput];
  for (let text = texts.pop(); text !== undefined; text = texts.pop()) {
    for (const { node, input } of graph.uses(text)) {
      if (HANDS_ON.has(node.opType)) texts.push(...node.outputs);
      if (input !== 0 || weightOf(graph, node) === undefined) continue;
      const after = downstream(graph, node.id);
      const [exit, ...others] = after.exits;
      if (exit === undefined || others.length > 0) continue;
      const group = byExit.get(exit.node);
      if (group === undefined) byExit.set(exit.node, { exit, projections: [{ node, after }] });
      else group.projections.push({ node, after });
    }
  }
  const pairs: Pair[] = [];
  for (const { exit, projections } of byExit.values()) {
    const key = projections.filter((projection) => isKey(projection));
    const value = projections.filter((projection) => !key.includes(projection));
    if (key.length === 1 && value.length === 1) pairs.push({ key: key[0]!, value: value[0]!, exit });
  }
  return pairs;
}

/** Attention as one operator reads query, key, value in this order. */
const FUSED_ATTENTION: ReadonlySet<string> = new Set(['Attention', 'MultiHeadAttention']);
const FUSED_KEY_INPUT = 1;

/** A key is what a softmax weighs; a value meets the weights after it. */
function isKey({ node, after }: Projection): boolean {
  const reaches = new Set([node.id, ...[...after.nodes].flatMap((each) => each.outputs)]);
  for (const each of after.nodes) {
    if (each.opType === 'Softmax') return true;
    if (FUSED_ATTENTION.has(each.opType)) return reaches.has(each.inputs[FUSED_KEY_INPUT] ?? '');
  }
  return false;
}

/** The module of an attention: the parent of its to_k and to_v, which must agree; else the parent of to_out.0, by its bias. */
function scopeOfPair(graph: Graph, { key, value, exit }: Pair): Scope {
  const [ofKey, ofValue] = [scopeOf(graph, key.node), scopeOf(graph, value.node)];
  const keyParent = ofKey && parentOf(ofKey.path, 'to_k');
  const valueParent = ofValue && parentOf(ofValue.path, 'to_v');
  if (keyParent !== undefined && keyParent === valueParent) return { path: keyParent, source: ofKey!.source };
  if (ofKey !== undefined && ofValue !== undefined && /\.to_[kqv]$/.test(ofKey.path)) {
    throw new IpgraftError(
      'MATCH_UNCONFIRMED',
      `by dataflow ${ofKey.path} is a key and ${ofValue.path} a value; sought names that end in to_k and to_v of one module`,
      { key: ofKey.path, value: ofValue.path },
    );
  }
  const out = outScope(graph, exit.node);
  if (out !== undefined) return out;
  throw new IpgraftError(
    'MATCH_NO_SCOPE',
    `no name tells the module of the cross-attention that ends in ${exit.node.label}`,
    {
      node: exit.node.label,
    },
  );
}

function parentOf(path: string, child: string): string | undefined {
  return path.endsWith(`.${child}`) ? path.slice(0, -child.length - 1) : undefined;
}

/** `….attn2.to_out.0` from the node itself, or from the bias that is added to its result: the name that survives every optimiser. */
function outScope(graph: Graph, node: Node): Scope | undefined {
  const readers = graph.uses(node.id).map((use) => use.node);
  for (const scope of [scopeOf(graph, node), ...readers.map((reader) => scopeOf(graph, reader))]) {
    const path = scope && parentOf(scope.path, 'to_out.0');
    if (path !== undefined) return { path, source: scope!.source };
  }
  return undefined;
}

/** Modules that names propose as attentions and the pattern selects, but dataflow did not find (or could not). */
function refuseUnconfirmed(
  graph: Graph,
  confirmed: ReadonlySet<string>,
  matches: (scope: string) => boolean,
): void {
  const proposed = new Set<string>();
  const propose = (path: string | undefined): void => {
    const module = path === undefined ? undefined : /^(.+)\.to_(?:[kqv]|kv|qkv|out\.0)$/.exec(path)?.[1];
    if (module !== undefined && matches(module)) proposed.add(module);
  };
  for (const node of graph.nodes) propose(scopeOf(graph, node)?.path);
  for (const name of graph.initializers.keys()) propose(moduleOfParameter(name));
  const missing = [...proposed].filter((scope) => !confirmed.has(scope));
  if (missing.length === 0) return;
  throw new IpgraftError(
    'MATCH_UNCONFIRMED',
    `${missing.length} of ${proposed.size} matching attentions are no cross-attentions by dataflow; the first is ${missing[0]}`,
    { unconfirmed: missing, confirmed: confirmed.size },
  );
}

/** Two attentions of one place would share weights of one id. */
function refuseTwins(attentions: readonly CrossAttention[]): void {
  attentions.forEach((attention, i) => {
    const next = attentions[i + 1];
    if (next === undefined || inCheckpointOrder(attention.place, next.place) !== 0) return;
    throw new IpgraftError(
      'MATCH_PLACE',
      `${attention.scope} and ${next.scope} have the same place in the UNet`,
      {
        scopes: [attention.scope, next.scope],
      },
    );
  });
}

function describePair(
  graph: Graph,
  pair: Pair,
  scope: Scope,
  place: Place,
  id: number,
  selected: boolean,
): CrossAttention {
  const key = describeProjection(graph, pair.key.node, scope);
  const value = describeProjection(graph, pair.value.node, scope);
  const { node, input } = pair.exit;
  const exitValue = node.inputs[input]!;
  const nodes = new Set([...pair.key.after.nodes, ...pair.value.after.nodes]);
  const { width, textWidth, dataType } = key;
  if (value.width !== width || value.textWidth !== textWidth || value.dataType !== dataType) {
    throw new IpgraftError(
      'MATCH_UNCONFIRMED',
      `${scope.path}: to_k is [${textWidth}, ${width}], to_v is [${value.textWidth}, ${value.width}]; sought equal shapes`,
      { scope: scope.path },
    );
  }
  return {
    id,
    scope: scope.path,
    source: scope.source,
    place,
    selected,
    key: key.projection,
    value: value.projection,
    exit: { value: exitValue, node: node.id, input },
    cone: leadingTo(graph, exitValue, nodes).map((each) => each.id),
    width,
    textWidth,
    dataType,
  };
}

function describeProjection(graph: Graph, node: Node, scope: Scope) {
  const weight = node.inputs[1]!;
  const tensor = graph.initializers.get(throughIdentity(graph, weight));
  if (
    node.opType !== 'MatMul' ||
    tensor === undefined ||
    tensor.dims.length !== 2 ||
    !isFloatType(tensor.dataType)
  ) {
    throw new IpgraftError(
      'MODEL_TYPE_UNSUPPORTED',
      `${scope.path}: sought a MatMul with a float weight of two dimensions, found ${node.label}` +
        (tensor ? ` with a weight of type ${dataTypeName(tensor.dataType)} [${tensor.dims.join(', ')}]` : ''),
      { scope: scope.path, node: node.label },
    );
  }
  const [textWidth, width] = tensor.dims as [number, number];
  const projection: TextProjection = { input: node.inputs[0]!, weight: tensor.name, output: node.id };
  return { projection, width, textWidth, dataType: dataTypeName(tensor.dataType) as FloatType };
}

function throughIdentity(graph: Graph, value: ValueName): ValueName {
  const producer = graph.producer(value);
  return producer?.opType === 'Identity' && isConstant(graph, value)
    ? throughIdentity(graph, producer.inputs[0]!)
    : value;
}

function textInputMissing(sought: string, found: readonly string[]): IpgraftError {
  return new IpgraftError(
    'MATCH_TEXT_INPUT',
    `sought the input ${sought} (floats [batch, tokens, width]), found ${found.length === 0 ? 'none like it' : found.join(', ')}`,
    { sought, found: [...found] },
  );
}
