import type { Edit } from '../compiler/edit/edit.js';
import { NodeNames } from '../compiler/edit/fragment.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import type { Branch } from './insert-image-kv.js';
import { adapterSuffix, branchExitOf, imageProjectionOf, nodeScope } from './names.js';

const NAME = 'clone-attention-branch';

/**
 * Repeats each cross-attention for its image tokens: every node between to_k, to_v and the exit that depends on the text
 * tokens is cloned with K' and V' in the place of K and V. The query, the head counts and the softmax scale are the
 * base's own values, shared; so is whatever form the exporter gave the attention.
 */
export function cloneAttentionBranch(branches: readonly Branch[]): Pass {
  return {
    name: NAME,
    summary:
      'repeats the attention between to_k, to_v and to_out for the image keys and values, on the same query',
    run(graph) {
      const names = new NodeNames(graph);
      return branches.flatMap((branch) => cloneOne(graph, names, branch));
    },
    ensures(_, after) {
      for (const { attention, adapter } of branches) {
        const exit = branchExitOf(attention.scope, adapter);
        if (after.producer(exit) === undefined) throw broken(NAME, `${exit} was not made`);
      }
    },
  };
}

function cloneOne(graph: Graph, names: NodeNames, { attention, adapter }: Branch): Edit[] {
  const { scope, exit } = attention;
  const image = new Map<ValueName, ValueName>([
    [attention.key.output, imageProjectionOf(scope, 'k', adapter)],
    [attention.value.output, imageProjectionOf(scope, 'v', adapter)],
  ]);
  return attention.cone.map((id) => {
    const node = graph.producer(id)!;
    const name = names.claim(
      `${nodeScope(scope)}/ip${adapterSuffix(adapter)}/${lastPart(node.name) || node.opType}`,
    );
    const outputs = node.outputs.map((output, i) => {
      if (output === '') return '';
      const cloned = output === exit.value ? branchExitOf(scope, adapter) : `${name}_output_${i}`;
      image.set(output, cloned);
      return cloned;
    });
    const inputs = node.inputs.map((input) => image.get(input) ?? input);
    return { kind: 'insert-node', node: { cloneOf: id, name, inputs, outputs }, before: exit.node };
  });
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
