import { isConstant } from '../../compiler/analysis/constants.js';
import { constantTensor } from '../../compiler/analysis/linear-layer.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { Node, ValueName } from '../../compiler/onnx/node.js';
import type { CrossAttention } from '../../passes/locate-cross-attention.js';
import { isQuantizer } from '../../passes/quantizers.js';

/** How many heads an attention has: said by its operator, or told by the width of the query where the scores are made. */
export type Heads = { readonly count: number } | { readonly queryAtScores: ValueName };

/** What one cross-attention of a base computes with, as values of the graph. */
export interface AttentionInputs {
  /** What to_q gives, behind its quantizer where it has one, [B, S, h]. */
  readonly query: ValueName;
  readonly heads: Heads;
  /** What is added to the scores of the text and says which of its tokens count; `null`: nothing is. */
  readonly mask: ValueName | null;
  /** Why the text's attention cannot be recomputed from its keys and values; `null` where it can. */
  readonly textUnknown: string | null;
}

const SCORES: ReadonlySet<string> = new Set(['MatMul', 'FusedMatMul', 'Attention', 'MultiHeadAttention']);
/** Where fused operators read a mask: `attn_mask`; key padding mask and attention bias. */
const MASK_INPUTS: Readonly<Record<string, readonly number[]>> = {
  Attention: [3],
  MultiHeadAttention: [4, 5],
};
/** What may stand between to_q and the scores: it splits heads, scales, casts, quantizes, or takes one head of all. */
const ON_THE_WAY: ReadonlySet<string> = new Set([
  'Reshape',
  'Transpose',
  'Mul',
  'Div',
  'Cast',
  'Identity',
  'Slice',
  'QuantizeLinear',
  'DequantizeLinear',
]);

/**
 * Finds the query, the heads and the mask of a cross-attention, starting where its key meets the query; answers with what was not
 * understood, in words, where the export has another form.
 */
export function attentionInputs(graph: Graph, attention: CrossAttention): AttentionInputs | string {
  const { key, cone } = attention;
  const ofKey = madeOf(graph, key.output, new Set(cone));
  const scores = cone
    .map((id) => graph.producer(id)!)
    .find((node) => ofKey.has(node) && SCORES.has(node.opType));
  if (scores === undefined) return 'no operator that multiplies query and key';
  const carriesKey = (value: ValueName) => value === key.output || ofKey.has(graph.producer(value)!);
  const atScores = scores.inputs.find((input) => input !== '' && !carriesKey(input));
  if (atScores === undefined) return `${scores.label} reads no query`;
  const mask = maskOf(graph, scores, ofKey, new Set(cone));
  const isQuantized = cone.some((id) => isQuantizer(graph.producer(id)!));
  return {
    query: queryBehind(graph, atScores),
    heads: headsOf(scores) ?? { queryAtScores: atScores },
    mask: mask ?? null,
    textUnknown: isQuantized ? 'it is quantized' : mask === undefined ? 'its mask is not understood' : null,
  };
}

/** What is computed from a value within a cone, leaving out what its shape decides. */
function madeOf(graph: Graph, value: ValueName, cone: ReadonlySet<ValueName>): Set<Node> {
  const made = new Set<Node>();
  const pending = [value];
  for (let next = pending.pop(); next !== undefined; next = pending.pop())
    for (const { node } of graph.uses(next)) {
      if (made.has(node) || node.opType === 'Shape' || !cone.has(node.id)) continue;
      made.add(node);
      pending.push(...node.outputs);
    }
  return made;
}

function headsOf(scores: Node): Heads | undefined {
  const count = Number(scores.attribute(scores.opType === 'Attention' ? 'q_num_heads' : 'num_heads')?.i ?? 0);
  return count > 0 ? { count } : undefined;
}

/** What is split into heads: what the Reshape nearest to to_q reads; the value itself where an operator reads all heads at once. */
function queryBehind(graph: Graph, atScores: ValueName): ValueName {
  const split = wayBack(graph, atScores).findLast((node) => node.opType === 'Reshape');
  return split?.inputs[0] ?? atScores;
}

/** The nodes between a value and the layer that it comes from, the last first. */
function wayBack(graph: Graph, value: ValueName): Node[] {
  const node = graph.producer(value);
  if (node === undefined || !ON_THE_WAY.has(node.opType)) return [];
  // A factor may be computed from the query's shape, and stand on either side.
  const ways = node.inputs.slice(0, node.opType === 'Mul' ? 2 : 1).map((input) => wayBack(graph, input));
  return [node, ...(ways.find((way) => way.some(({ opType }) => opType === 'Reshape')) ?? ways[0]!)];
}

/** `null` where there is no mask, `undefined` where it is not one value that is added to the scores. */
function maskOf(
  graph: Graph,
  scores: Node,
  ofKey: ReadonlySet<Node>,
  cone: ReadonlySet<ValueName>,
): ValueName | null | undefined {
  if ((MASK_INPUTS[scores.opType] ?? []).some((index) => scores.inputs[index])) return undefined;
  const masks: ValueName[] = [];
  for (let node = scores; node.opType !== 'Softmax'; ) {
    const next = graph.uses(node.id).find((use) => ofKey.has(use.node))?.node;
    if (next === undefined) break;
    if (next.opType === 'Add') masks.push(...next.inputs.filter((input) => input !== node.id));
    node = next;
  }
  const telling = masks.filter((mask) => {
    // What is made of the token count alone, or is one number, tells no token from another.
    if (cone.has(graph.producer(mask)?.id ?? '')) return false;
    return !isConstant(graph, mask) || (constantTensor(graph, mask)?.dims.at(-1) ?? 1) > 1;
  });
  const [mask, ...more] = telling;
  if (mask === undefined) return null;
  return more.length > 0 || graph.initializers.has(mask) ? undefined : mask;
}
