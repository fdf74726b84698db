import { IpgraftError } from '../errors.js';
import type { Graph } from '../onnx/graph.js';
import type { Node } from '../onnx/node.js';

/**
 * Refuses a graph in which a value depends on itself: whoever follows values through it would never end.
 * @throws IpgraftError `MODEL_CYCLE`
 */
export function refuseCycles(graph: Graph): void {
  if (graph.isSorted) return;
  const open = new Map<Node, number>();
  for (const node of graph.nodes) {
    open.set(node, node.inputs.filter((input) => graph.producer(input) !== undefined).length);
  }
  const ready = graph.nodes.filter((node) => open.get(node) === 0);
  let done = 0;
  for (let node = ready.pop(); node !== undefined; node = ready.pop()) {
    done += 1;
    for (const use of node.outputs.flatMap((output) => graph.uses(output))) {
      const left = open.get(use.node)! - 1;
      open.set(use.node, left);
      if (left === 0) ready.push(use.node);
    }
  }
  if (done === graph.nodes.length) return;
  throw new IpgraftError('MODEL_CYCLE', `${graph.nodes.length - done} nodes depend on themselves`, {
    nodes: graph.nodes.length - done,
  });
}
