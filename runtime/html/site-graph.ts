import { weightOf } from '../../compiler/analysis/constants.js';
import { DYNAMIC_QUANTIZER } from '../../compiler/analysis/linear-layer.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { Node, ValueName } from '../../compiler/onnx/node.js';

/** How far into its surroundings a drawing reaches: an image projection inside the model alone has hundreds of nodes. */
const FARTHEST_AROUND = 3;
/** A cross-attention has a few dozen nodes; what has more is not taken for one. */
const MOST_INSIDE = 160;

/**
 * The nodes that only compute shapes: what reads nothing but constants, `Shape` and each other. TorchScript exports have more of them
 * than of all other nodes.
 */
export function shapeArithmetic(graph: Graph): ReadonlySet<Node> {
  const found = new Set<Node>();
  for (const node of graph.nodes) {
    const isShape =
      node.opType === 'Shape' ||
      node.inputs.every((input) => {
        if (input === '') return true;
        const producer = graph.producer(input);
        return producer === undefined
          ? graph.initializers.has(input) && !graph.inputs.has(input)
          : found.has(producer);
      });
    if (isShape) found.add(node);
  }
  return found;
}

/**
 * The nodes of one cross-attention, in the graph's order: what the node that reads its result reads, back to the linear layers that make
 * query, key and value, and the quantizers that feed these. With `isNew`, also what was inserted before these, a few nodes deep: where
 * image tokens come from. Nodes that only compute shapes (`shapes`) are left out.
 */
export function siteNodes(
  graph: Graph,
  exit: Node,
  exitInput: number,
  shapes: ReadonlySet<Node>,
  isNew: (node: Node) => boolean = () => false,
): Node[] {
  const inside = new Set<Node>([exit]);
  const behind: ValueName[] = [];
  const pending: ValueName[] = [exit.inputs[exitInput] ?? ''];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    const node = graph.producer(value);
    if (node === undefined || inside.has(node) || shapes.has(node) || inside.size >= MOST_INSIDE) continue;
    inside.add(node);
    const isEdge = weightOf(graph, node) !== undefined || node.opType === DYNAMIC_QUANTIZER;
    (isEdge ? behind : pending).push(...node.inputs);
  }
  const around = new Set<Node>();
  let next = inserted(behind);
  for (let step = 0; step < FARTHEST_AROUND; step++) {
    for (const node of next) around.add(node);
    next = inserted(next.flatMap((node) => node.inputs));
  }
  return inOrder(graph, new Set([...inside, ...around]));

  function inserted(values: readonly ValueName[]): Node[] {
    const nodes = values.map((value) => graph.producer(value));
    return [
      ...new Set(
        nodes.filter(
          (node): node is Node =>
            node !== undefined && isNew(node) && !inside.has(node) && !around.has(node) && !shapes.has(node),
        ),
      ),
    ];
  }
}

/** The given nodes and those that make what they read or read what they make; `null` where these are more than `most`. */
export function neighbourhood(graph: Graph, nodes: readonly Node[], most: number): Node[] | null {
  const near = new Set(nodes);
  for (const node of nodes) {
    for (const input of node.inputs) {
      const producer = graph.producer(input);
      if (producer !== undefined && producer.opType !== 'Constant') near.add(producer);
    }
    for (const output of node.outputs) for (const use of graph.uses(output)) near.add(use.node);
    if (near.size > most) return null;
  }
  return inOrder(graph, near);
}

function inOrder(graph: Graph, nodes: ReadonlySet<Node>): Node[] {
  return [...nodes].sort((a, b) => graph.position(a) - graph.position(b));
}
