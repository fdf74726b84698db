import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';

/**
 * Refuses a model in which a control-flow subgraph (of If, Loop, Scan) reads `value`: such a reading is in no node's inputs and
 * would keep the unsplit text.
 * @throws IpgraftError `MODEL_SUBGRAPH_READS_TEXT`
 */
export function refuseSubgraphReads(graph: Graph, value: ValueName): void {
  for (const node of graph.nodes) {
    if (!readsInside(node, value)) continue;
    throw new IpgraftError('MODEL_SUBGRAPH_READS_TEXT', `a subgraph of ${node.label} reads ${value}`, {
      node: node.label,
      value,
    });
  }
}

function readsInside(node: Node, value: ValueName): boolean {
  return node
    .subgraphs()
    .some(
      ({ nodes, outputs }) =>
        outputs.includes(value) ||
        nodes.some((inner) => inner.inputs.includes(value) || readsInside(inner, value)),
    );
}
