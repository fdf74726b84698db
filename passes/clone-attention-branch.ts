import { isConstant } from '../compiler/analysis/constants.js';
import { constantTensor } from '../compiler/analysis/linear-layer.js';
import type { Edit } from '../compiler/edit/edit.js';
import { NodeNames } from '../compiler/edit/fragment.js';
import { integerTensor } from '../compiler/onnx/create.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import type { Branch } from './branch.js';
import { frozenTokenCounts } from './frozen-token-counts.js';
import { adapterSuffix, branchExitOf, nodeScope, TEXT_TOKENS } from './names.js';
import { isQuantizer } from './quantizers.js';

const NAME = 'clone-attention-branch';

/** What to clone. */
export interface CloneOptions {
  readonly textInput: ValueName;
  /** What to_k and to_v read. */
  readonly textStates: ValueName;
  /** L, where the base's input declares it; else `null`. */
  readonly textTokens: number | null;
  readonly branches: readonly Branch[];
}

/**
 * Repeats each cross-attention for its image tokens: every node between to_k, to_v and the exit that depends on the text
 * tokens is cloned with K' and V' in the place of K and V. The query, the head counts and the softmax scale are the
 * base's own values, shared; so is whatever form the exporter gave the attention. Two things stay behind: quantizers, whose
 * ranges are the text's, and masks, which say which text tokens count. A token count that the export froze into a shape is
 * replaced.
 */
export function cloneAttentionBranch({ textInput, textStates, textTokens, branches }: CloneOptions): Pass {
  return {
    name: NAME,
    summary:
      'repeats the attention between to_k, to_v and to_out for the image keys and values, on the same query',
    run(graph) {
      const names = new NodeNames(graph);
      return branches.flatMap((branch) => {
        const shapes = frozenTokenCounts(graph, branch.attention, textTokens, branch.stream.tokens);
        return cloneOne(graph, names, [textInput, textStates, TEXT_TOKENS], branch, shapes);
      });
    },
    ensures(_, after) {
      for (const { attention, stream } of branches) {
        const exit = branchExitOf(attention.scope, stream.index);
        if (after.producer(exit) === undefined) throw broken(NAME, `${exit} was not made`);
      }
    },
  };
}

function cloneOne(
  graph: Graph,
  names: NodeNames,
  texts: readonly ValueName[],
  { attention, stream: { index: stream }, states, projected }: Branch,
  shapes: ReadonlyMap<Node, readonly number[]>,
): Edit[] {
  const { scope, exit, key, value, packedHeads } = attention;
  const image = new Map<ValueName, ValueName>(
    packedHeads === null
      ? [
          [key.output, projected.k],
          [value.output, projected.v],
        ]
      : [[key.output, projected.kv]],
  );
  // The token count may be read from the text itself.
  for (const text of texts) image.set(text, states);
  const last = lastToClone(graph, attention.cone, exit.value);
  const scores = scoreChain(graph, attention.cone);
  const edits: Edit[] = [];
  for (const id of attention.cone) {
    const node = graph.producer(id)!;
    const passed = handsOn(graph, node, image, scores.has(node));
    if (passed !== undefined) {
      for (const output of node.outputs) image.set(output, passed);
      continue;
    }
    const name = names.claim(
      `${nodeScope(scope)}/ip${adapterSuffix(stream)}/${lastPart(node.name) || node.opType}`,
    );
    const inputs = withoutMask(
      node,
      node.inputs.map((input) => image.get(input) ?? input),
    );
    const shape = shapes.get(node);
    if (shape !== undefined) {
      inputs[1] = `${name}_shape`;
      edits.push({ kind: 'insert-initializer', tensor: integerTensor(inputs[1], shape) });
    }
    const outputs = node.outputs.map((output, i) => {
      if (output === '') return '';
      const cloned = node === last ? branchExitOf(scope, stream) : `${name}_output_${i}`;
      image.set(output, cloned);
      return cloned;
    });
    edits.push({ kind: 'insert-node', node: { cloneOf: id, name, inputs, outputs }, before: exit.node });
  }
  return edits;
}

/** The node whose clone gives the branch's result: the exit's own, or the one in front of the quantizers there. */
function lastToClone(graph: Graph, cone: readonly ValueName[], exit: ValueName): Node | undefined {
  let node = graph.producer(exit);
  while (node !== undefined && isQuantizer(node)) node = graph.producer(node.inputs[0]!);
  return node !== undefined && cone.includes(node.id) ? node : undefined;
}

/** What happens to the scores between query × key and the softmax. */
function scoreChain(graph: Graph, cone: readonly ValueName[]): Set<Node> {
  const inCone = (value: ValueName) => cone.includes(graph.producer(value)?.id ?? '');
  const chain = new Set<Node>();
  for (const id of cone) {
    if (graph.producer(id)?.opType !== 'Softmax') continue;
    let node = graph.producer(graph.producer(id)!.inputs[0]!);
    while (node !== undefined && node.opType !== 'MatMul' && node.opType !== 'FusedMatMul') {
      chain.add(node);
      const next = node.inputs.find(inCone);
      node = next === undefined ? undefined : graph.producer(next);
    }
  }
  return chain;
}

/** What a node's clone would hand on unchanged: behind a quantizer its float input, behind an added mask the scores. */
function handsOn(
  graph: Graph,
  node: Node,
  image: ReadonlyMap<ValueName, ValueName>,
  onScores: boolean,
): ValueName | undefined {
  if (isQuantizer(node)) return image.get(node.inputs[0]!);
  if (node.opType !== 'Add' || !onScores) return undefined;
  const [scores, ...more] = node.inputs.filter((input) => image.has(input));
  const others = node.inputs.filter((input) => !image.has(input));
  // What is neither a constant number nor made of the image speaks of text tokens.
  const isMask =
    more.length === 0 && others.some((other) => !isConstant(graph, other) || isWide(graph, other));
  return isMask ? image.get(scores!) : undefined;
}

/** Whether a constant has more than one number along its last axis: that of the tokens, among scores. */
function isWide(graph: Graph, constant: ValueName): boolean {
  return (constantTensor(graph, constant)?.dims.at(-1) ?? 1) > 1;
}

/** Which inputs of a fused attention speak of single tokens: a mask, a padding mask, a bias on the scores. */
const TOKEN_INPUTS: Readonly<Record<string, readonly number[]>> = {
  Attention: [3],
  MultiHeadAttention: [4, 5],
};

function withoutMask(node: Node, inputs: readonly ValueName[]): ValueName[] {
  const masks = TOKEN_INPUTS[node.opType] ?? [];
  const kept = inputs.map((input, i) => (masks.includes(i) ? '' : input));
  while (kept.at(-1) === '') kept.pop();
  return kept;
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
