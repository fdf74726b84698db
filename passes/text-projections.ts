import { type Downstream, downstream, downstreamData, leadingTo } from '../compiler/analysis/cone.js';
import { type LinearLayer, layersAt } from '../compiler/analysis/linear-layer.js';
import { IpgraftError } from '../compiler/errors.js';
import { isFloatType } from '../compiler/onnx/data-type.js';
import type { Graph, Use } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';

/** Keys or values of the text: what a linear layer makes of it, or one part of what a fused one makes. */
export interface TextProjection {
  readonly layer: LinearLayer;
  /** [B, L, h]; where it is packed [B, L, 2h]. */
  readonly output: ValueName;
  readonly width: number;
}

/** Keys and values of one cross-attention, and where they end. */
export interface ProjectionPair {
  readonly key: TextProjection;
  readonly value: TextProjection;
  /** Heads, where key and value are one value in which each head's key is followed by its value; else `null`. */
  readonly packedHeads: number | null;
  /** What depends on them, or on the token count of the text, in front of the exit. */
  readonly nodes: ReadonlySet<Node>;
  /** Where to_out, or the quantizer in front of it, reads the attention's result. */
  readonly exit: Use;
}

/** The text on its way to the cross-attentions. */
export interface TextProjections {
  readonly textInput: ValueName;
  /** What to_k and to_v read: the input, or what {@link linear} makes of it. */
  readonly textStates: ValueName;
  /** A linear layer that all of the text passes first, as in Kolors (`encoder_hid_proj`); else `null`. */
  readonly linear: LinearLayer | null;
  readonly pairs: ProjectionPair[];
}

const USUAL_TEXT_INPUT = 'encoder_hidden_states';

/**
 * Finds the text input and the pairs of linear layers that read it as keys and values: both are floats [B, L, C] × [C, h], both end
 * in one value that a third layer reads, and the key is the one whose way there leads through a softmax.
 * @throws IpgraftError `MATCH_TEXT_INPUT`, `MATCH_NO_CROSS_ATTENTION`, `MATCH_TEXT_WAY`, `MODEL_FUNCTIONS`
 */
export function findTextProjections(graph: Graph, named: string | undefined): TextProjections {
  if (named !== undefined && !graph.inputs.has(named))
    throw textInputMissing(named, [...graph.inputs.keys()]);
  const wanted = named ?? (graph.inputs.has(USUAL_TEXT_INPUT) ? USUAL_TEXT_INPUT : undefined);
  if (wanted !== undefined) {
    const found = projectionsFrom(graph, wanted);
    if (found.pairs.length > 0) return found;
    throw noCrossAttention(graph, wanted);
  }
  const candidates = [...graph.inputs.values()].filter(
    ({ dataType, shape }) => isFloatType(dataType) && shape?.length === 3,
  );
  const serving = candidates
    .map(({ name }) => projectionsFrom(graph, name))
    .filter(({ pairs }) => pairs.length > 0);
  if (serving.length === 1) return serving[0]!;
  if (serving.length === 0 && candidates.length === 1) throw noCrossAttention(graph, candidates[0]!.name);
  const names =
    serving.length === 0 ? candidates.map(({ name }) => name) : serving.map(({ textInput }) => textInput);
  throw textInputMissing(USUAL_TEXT_INPUT, names);
}

/** The pairs that read the input, or what the one linear layer that reads it makes. */
function projectionsFrom(graph: Graph, textInput: ValueName): TextProjections {
  const pairs = pairsFrom(graph, textInput, []);
  if (pairs.length > 0) return { textInput, textStates: textInput, linear: null, pairs };
  const [reading, ...others] = downstreamData(graph, textInput).exits;
  const [layer] = reading === undefined || others.length > 0 ? [] : layersAt(graph, reading.node);
  // What multiplies integers has no weight here, and image tokens could not take its way in floats.
  const linear = layer?.weight == null ? null : layer;
  const textStates = linear?.output ?? textInput;
  return {
    textInput,
    textStates,
    linear,
    pairs: linear === null ? [] : pairsFrom(graph, textStates, [textInput]),
  };
}

/** A projection and what follows from it. */
interface Followed {
  readonly projection: TextProjection;
  readonly after: Downstream;
}

/** `alsoCounted`: values in front of the text states whose token count is theirs too. */
function pairsFrom(graph: Graph, textStates: ValueName, alsoCounted: readonly ValueName[]): ProjectionPair[] {
  const text = downstreamData(graph, textStates);
  const counted = new Set(
    [textStates, ...alsoCounted].flatMap((value) => [...downstream(graph, value).nodes]),
  );
  const byExit = new Map<Node, { exit: Use; followed: Followed[] }>();
  for (const reading of text.exits) {
    for (const layer of layersAt(graph, reading.node)) {
      for (const projection of projectionsOf(graph, layer)) {
        const after = downstream(graph, projection.output);
        const [exit, ...others] = after.exits;
        if (exit === undefined || others.length > 0) continue;
        refuseStrangeWay(graph, layer, text.nodes);
        const group = byExit.get(exit.node);
        if (group === undefined) byExit.set(exit.node, { exit, followed: [{ projection, after }] });
        else group.followed.push({ projection, after });
      }
    }
  }
  return [...byExit.values()].flatMap(({ exit, followed }) => pairUp(exit, followed, counted) ?? []);
}

/** A layer makes keys or values; one as wide as both makes both, and a Split takes them apart. */
function projectionsOf(graph: Graph, layer: LinearLayer): TextProjection[] {
  const [reader, ...others] = graph.uses(layer.output).map((use) => use.node);
  const whole: TextProjection = { layer, output: layer.output, width: layer.outputWidth };
  if (reader?.opType !== 'Split' || others.length > 0 || reader.outputs.length !== 2) return [whole];
  return reader.outputs.map((output) => ({ layer, output, width: layer.outputWidth / 2 }));
}

function pairUp(
  exit: Use,
  followed: readonly Followed[],
  counted: ReadonlySet<Node>,
): ProjectionPair | undefined {
  const keys = followed.filter(isKey);
  const values = followed.filter((each) => !isKey(each));
  if (keys.length !== 1 || values.length > 1) return undefined;
  const [key, value] = [keys[0]!, values[0]];
  if (value !== undefined) {
    const nodes = new Set([...key.after.nodes, ...value.after.nodes, ...counted]);
    return { key: key.projection, value: value.projection, packedHeads: null, nodes, exit };
  }
  const packedHeads = packedHeadsOf(key);
  if (packedHeads === undefined) return undefined;
  const half: TextProjection = { ...key.projection, width: key.projection.width / 2 };
  return { key: half, value: half, packedHeads, nodes: new Set([...key.after.nodes, ...counted]), exit };
}

/** Attention as one operator reads query, key, value in this order. */
const FUSED_ATTENTION: ReadonlySet<string> = new Set(['Attention', 'MultiHeadAttention']);
const KEY_INPUT = 1;
const VALUE_INPUT = 2;

/** A key is what a softmax weighs; a value meets the weights after it. */
function isKey({ projection, after }: Followed): boolean {
  const reaches = new Set([projection.output, ...[...after.nodes].flatMap((node) => node.outputs)]);
  for (const node of after.nodes) {
    if (node.opType === 'Softmax') return true;
    if (FUSED_ATTENTION.has(node.opType)) return reaches.has(node.inputs[KEY_INPUT] ?? '');
  }
  return false;
}

/** ONNX Runtime's packed form: `MultiHeadAttention` with a key [B, L, H, 2, d] and no value. */
function packedHeadsOf({ after }: Followed): number | undefined {
  const fused = [...after.nodes].find((node) => node.opType === 'MultiHeadAttention');
  if (fused === undefined || (fused.inputs[VALUE_INPUT] ?? '') !== '') return undefined;
  return Number(fused.attribute('num_heads')?.i ?? 0);
}

/** What may happen to the text on its way to a to_k: casts, quantizers, and repeating it (once per frame of a video). */
const ON_THE_WAY: ReadonlySet<string> = new Set([
  'Cast',
  'Identity',
  'DynamicQuantizeLinear',
  'QuantizeLinear',
  'DequantizeLinear',
  'Shape',
  'Gather',
  'Slice',
  'Concat',
  'Unsqueeze',
  'Squeeze',
  'Reshape',
  'Expand',
  'Tile',
  'Transpose',
  'ConstantOfShape',
  'Equal',
  'Where',
  'Mul',
  'Div',
  'Range',
]);

/** A norm between the text and to_k must not touch image tokens, so a way that computes anything else is refused. */
function refuseStrangeWay(graph: Graph, layer: LinearLayer, nodes: ReadonlySet<Node>): void {
  const stranger = leadingTo(graph, layer.input, nodes).find((node) => !ON_THE_WAY.has(node.opType));
  if (stranger === undefined) return;
  if (graph.functions.has(stranger.opType)) throw inFunctions(graph);
  throw new IpgraftError('MATCH_TEXT_WAY', `${layer.node.label} reads the text through ${stranger.label}`, {
    layer: layer.node.label,
    found: stranger.label,
  });
}

function noCrossAttention(graph: Graph, textInput: ValueName): IpgraftError {
  if (graph.nodes.some((node) => graph.functions.has(node.opType))) return inFunctions(graph);
  return new IpgraftError(
    'MATCH_NO_CROSS_ATTENTION',
    `sought pairs of linear layers that read ${textInput} and meet behind a softmax, found none`,
    { textInput },
  );
}

function inFunctions(graph: Graph): IpgraftError {
  const calls = graph.nodes.filter((node) => graph.functions.has(node.opType)).length;
  return new IpgraftError(
    'MODEL_FUNCTIONS',
    `sought cross-attentions in the graph, found ${calls} calls of model functions`,
    { calls },
  );
}

function textInputMissing(sought: string, found: readonly string[]): IpgraftError {
  return new IpgraftError(
    'MATCH_TEXT_INPUT',
    `sought the input ${sought} (floats [batch, tokens, width]), found ${found.length === 0 ? 'none like it' : found.join(', ')}`,
    { sought, found: [...found] },
  );
}
