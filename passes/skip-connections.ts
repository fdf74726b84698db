import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';
import type { Part } from './checkpoint-order.js';

/**
 * Tells the part of the UNet in which each node stands without any name: of the first Concat that joins a skip connection, what lies
 * above its skip operand is *down*, what lies above the other operand alone is *mid*, and the rest is *up*. The skip operand is
 * the one on which the other depends: the way through the middle begins where the skip leaves.
 * @throws IpgraftError `MATCH_PLACE` when the graph has no skip connection
 */
export function partsByDataflow(graph: Graph, nodes: readonly Node[]): Map<Node, Part> {
  for (const concat of graph.nodes) {
    if (concat.opType !== 'Concat' || concat.inputs.length !== 2) continue;
    const [a, b] = concat.inputs.map((input) => above(graph, input)) as [Set<Node>, Set<Node>];
    const [skip, main] = joins(graph, concat.inputs, a, b) ?? [];
    if (skip === undefined || main === undefined) continue;
    return new Map(nodes.map((node) => [node, skip.has(node) ? 'down' : main.has(node) ? 'mid' : 'up']));
  }
  throw new IpgraftError('MATCH_PLACE', 'sought a skip connection to tell down from up, found none', {});
}

/** A skip of a UNet spans at least a few layers; two values that are made side by side are none. */
const SHORTEST_SKIP = 4;

function joins(
  graph: Graph,
  inputs: readonly ValueName[],
  a: Set<Node>,
  b: Set<Node>,
): [skip: Set<Node>, main: Set<Node>] | undefined {
  const [first, second] = inputs.map((input) => graph.producer(input));
  if (first === undefined || second === undefined) return undefined;
  if (a.has(second) && a.size >= b.size + SHORTEST_SKIP) return [b, a];
  if (b.has(first) && b.size >= a.size + SHORTEST_SKIP) return [a, b];
  return undefined;
}

/** Every node on which a value depends. */
function above(graph: Graph, value: ValueName): Set<Node> {
  const found = new Set<Node>();
  const pending = [value];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const producer = graph.producer(next);
    if (producer === undefined || found.has(producer)) continue;
    found.add(producer);
    pending.push(...producer.inputs);
  }
  return found;
}
