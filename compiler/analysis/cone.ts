import type { Graph, Use } from '../onnx/graph.js';
import type { Node, ValueName } from '../onnx/node.js';
import { constantIntegers, weightOf } from './constants.js';
import { DYNAMIC_QUANTIZER } from './linear-layer.js';

/** What lies downstream of a value up to the next weight multiplications. */
export interface Downstream {
  /** Every node that depends on the value, none of them a weight multiplication. */
  readonly nodes: ReadonlySet<Node>;
  /** Where weight multiplications, or the quantizers in front of them, read what depends on the value: there the walk stopped. */
  readonly exits: readonly Use[];
}

/**
 * Follows a value forward through all that depends on it and stops at weight multiplications (and at the dynamic quantizers
 * that feed them).
 *
 * The value is [batch, tokens, width]. What only asks for its batch or width (`Shape` then `Gather` or `Slice` with
 * constant indices) does not depend on the tokens, and is not followed: these numbers are the same for text and image.
 */
export function downstream(graph: Graph, value: ValueName): Downstream {
  return walk(graph, value, (shape) => tokenReadings(graph, shape));
}

/** The same for what is computed from the value itself, leaving out what its shape decides. */
export function downstreamData(graph: Graph, value: ValueName): Downstream {
  return walk(graph, value, () => []);
}

/** Operators that hand a value on in its shape. */
const HANDS_ON: ReadonlySet<string> = new Set(['Cast', 'Identity']);

function walk(graph: Graph, value: ValueName, readingsOfShape: (shape: Node) => readonly Use[]): Downstream {
  const nodes = new Set<Node>();
  const exits: Use[] = [];
  const pending: Use[] = [];
  const same = [value];
  for (let each = same.pop(); each !== undefined; each = same.pop()) {
    for (const use of graph.uses(each)) {
      if (HANDS_ON.has(use.node.opType)) {
        nodes.add(use.node);
        same.push(use.node.id);
      } else if (use.node.opType === 'Shape') {
        const readings = readingsOfShape(use.node);
        if (readings.length > 0) nodes.add(use.node);
        pending.push(...readings);
      } else pending.push(use);
    }
  }
  for (let use = pending.pop(); use !== undefined; use = pending.pop()) {
    const { node, input } = use;
    if (nodes.has(node)) continue;
    if (node.opType === DYNAMIC_QUANTIZER || weightOf(graph, node) !== undefined) {
      if (!exits.some((exit) => exit.node === node && exit.input === input)) exits.push(use);
      continue;
    }
    nodes.add(node);
    pending.push(...node.outputs.flatMap((output) => graph.uses(output)));
  }
  return { nodes, exits };
}

const TOKEN_AXIS = 1;
const RANK = 3;

/** Which readings of the shape of a [batch, tokens, width] value may see its token count. */
export function tokenReadings(graph: Graph, shape: Node): readonly Use[] {
  const start = axisOf(Number(shape.attribute('start')?.i ?? 0));
  const end = axisOf(Number(shape.attribute('end')?.i ?? RANK));
  return graph.uses(shape.id).filter(({ node }) => {
    const axes = axesRead(graph, node, end - start);
    return axes === undefined || axes.some((axis) => start + axis === TOKEN_AXIS);
  });
}

/** Which entries of a list of `length` a node picks; `undefined` when that is not plain to see. */
function axesRead(graph: Graph, node: Node, length: number): number[] | undefined {
  const within = (index: number) => (index < 0 ? index + length : index);
  if (node.opType === 'Gather') return constantIntegers(graph, node.inputs[1]!)?.map(within);
  if (node.opType !== 'Slice' || node.inputs.length < 3) return undefined;
  const [starts, ends, steps] = [node.inputs[1]!, node.inputs[2]!, node.inputs[4]].map((name) =>
    name ? constantIntegers(graph, name) : [1],
  );
  if (starts?.length !== 1 || ends?.length !== 1 || steps?.[0] !== 1) return undefined;
  const axes: number[] = [];
  for (let axis = within(starts[0]!); axis < Math.min(within(ends[0]!), length); axis++) axes.push(axis);
  return axes;
}

function axisOf(index: number): number {
  return index < 0 ? index + RANK : Math.min(index, RANK);
}

/**
 * Those of `nodes` from which `value` depends, each behind what it depends on: in the file they may stand in any order, since
 * tools append nodes and runtimes sort them.
 */
export function leadingTo(graph: Graph, value: ValueName, nodes: ReadonlySet<Node>): Node[] {
  const found = new Set<Node>();
  const pending = [value];
  while (pending.length > 0) {
    const producer = graph.producer(pending.at(-1)!);
    if (producer === undefined || found.has(producer) || !nodes.has(producer)) {
      pending.pop();
      continue;
    }
    const missing = producer.inputs.filter((input) => {
      const before = graph.producer(input);
      return before !== undefined && nodes.has(before) && !found.has(before);
    });
    // Seen again with nothing missing: all that it reads is found.
    if (missing.length === 0) found.add(producer);
    else pending.push(...missing.toReversed());
  }
  return [...found];
}
