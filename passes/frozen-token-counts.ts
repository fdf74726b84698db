import { constantIntegers } from '../compiler/analysis/constants.js';
import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node } from '../compiler/onnx/node.js';
import type { CrossAttention } from './locate-cross-attention.js';

/** Where keys and values meet the query or the weights: behind it no value has a token axis to reshape. */
const MEETING: ReadonlySet<string> = new Set([
  'MatMul',
  'FusedMatMul',
  'Softmax',
  'Attention',
  'MultiHeadAttention',
]);

/**
 * Reshapes of keys and values to a constant shape in which an export with a static text input has frozen its token count, and the
 * shape that image tokens need. A shape that leaves the count open (-1) needs nothing.
 * @throws IpgraftError `MATCH_STATIC_TOKENS` when the count is not plain to see among the other numbers
 */
export function frozenTokenCounts(
  graph: Graph,
  { scope, key, value, cone }: CrossAttention,
  textTokens: number | null,
  imageTokens: number,
): Map<Node, number[]> {
  const shapes = new Map<Node, number[]>();
  if (textTokens === null) return shapes;
  const inCone = new Set(cone);
  const pending = [key.output, value.output];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    for (const { node } of graph.uses(name)) {
      if (!inCone.has(node.id) || MEETING.has(node.opType)) continue;
      pending.push(...node.outputs);
      const shape = node.opType === 'Reshape' ? constantIntegers(graph, node.inputs[1]!) : undefined;
      const frozen = shape?.filter((size) => size === textTokens).length ?? 0;
      if (frozen > 1) {
        throw new IpgraftError(
          'MATCH_STATIC_TOKENS',
          `${scope}: which number of [${shape!.join(', ')}] is the token count?`,
          {
            scope,
            node: node.label,
            tokens: textTokens,
          },
        );
      }
      if (frozen === 1)
        shapes.set(
          node,
          shape!.map((size) => (size === textTokens ? imageTokens : size)),
        );
    }
  }
  return shapes;
}
