import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';

/** Operators whose attributes hold graphs that may read any value around them. */
const CONTROL_FLOW: Readonly<Record<string, readonly string[]>> = {
  If: ['then_branch', 'else_branch'],
  Loop: ['body'],
  Scan: ['body'],
};

/**
 * Refuses a model in which a control-flow subgraph reads `value`: such a reading is in no node's inputs and would keep
 * the unsplit text.
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
  const graphs = (CONTROL_FLOW[node.opType] ?? []).map((name) => node.attribute(name)?.g);
  return graphs.some((graph) => graph != null && JSON.stringify(graph).includes(JSON.stringify(value)));
}
