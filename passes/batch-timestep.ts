import { constantIntegers } from '../compiler/analysis/constants.js';
import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { IpgraftError } from '../compiler/errors.js';
import type { Graph, Use } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';
import type { ValueInfo } from '../compiler/onnx/value-info.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import { BATCH_SCOPE, batchOf, notBatched, resizes } from './batched-inputs.js';
import { refuseSubgraphReads } from './subgraph-reads.js';

const NAME = 'batch-timestep';

/**
 * Gives inputs that are one number for all rows, a UNet's `timestep` [] or [1], a number for each row: [B].
 *
 * Such a number is cast, made a list of one and repeated for every row by an `Expand`. The casts and the `Expand` are cloned for the
 * rows' own numbers, which need no repeating, and what read the repeated number reads those. The base's own way stays as it is, on
 * the first row's number and with the shapes that the model declares for it, and nobody reads it any more. An input that is read in
 * any other way is refused: rows might share what they must not.
 */
export function batchTimestep(): Pass {
  return {
    name: NAME,
    summary: 'gives an input that is one number for all rows, the timestep, a number for each row',
    requires(graph) {
      for (const { name } of sharedNumbers(graph)) {
        refuseSubgraphReads(graph, name);
        waysOf(graph, name);
      }
    },
    run(graph) {
      const names = new NodeNames(graph);
      return sharedNumbers(graph).flatMap((input) => batchNumber(graph, names, input));
    },
    ensures(before, after) {
      for (const { name } of sharedNumbers(before)) {
        const [batch, ...rest] = after.inputs.get(name)!.shape!;
        if (typeof batch !== 'string' || rest.length > 0) throw broken(NAME, `${name} has no batch`);
        for (const { expand } of waysOf(before, name))
          if (after.uses(expand.id).length > 0)
            throw broken(NAME, `what ${expand.label} repeats is still one number`);
      }
    },
  };
}

/** Inputs that a caller must give and that are [] or [1]. */
function sharedNumbers(graph: Graph): ValueInfo[] {
  return [...graph.inputs.values()].filter(
    ({ name, shape }) =>
      !graph.initializers.has(name) &&
      shape !== null &&
      (shape.length === 0 || (shape.length === 1 && shape[0] === 1)),
  );
}

function batchNumber(graph: Graph, names: NodeNames, { name, shape }: ValueInfo): Edit[] {
  const readers = graph.uses(name);
  const sizes = resizes(name, shape!, [batchOf(graph)]);
  // Whatever nobody reads may have any shape.
  if (readers.length === 0) return sizes;
  const fragment = new Fragment(names, `${BATCH_SCOPE}/${name}`);
  const first = fragment.node('Gather', [name, fragment.integers(shape!.length === 0 ? 0 : [0])]);
  return [
    ...sizes,
    ...fragment.edits(readers[0]!.node.id),
    ...readers.map(
      ({ node, input }): Edit => ({ kind: 'rewire', node: node.id, input, from: name, to: first }),
    ),
    ...waysOf(graph, name).flatMap((way) => repeatWay(graph, names, name, way)),
  ];
}

/** Takes a way again with the numbers of the rows, and moves what reads its end to the new one. */
function repeatWay(graph: Graph, names: NodeNames, input: ValueName, { casts, expand }: Way): Edit[] {
  const edits: Edit[] = [];
  let value = input;
  for (const node of [...casts, expand]) {
    const name = names.claim(`${BATCH_SCOPE}/${input}/${node.opType}`);
    const inputs = [value, ...node.inputs.slice(1)];
    value = `${name}_output_0`;
    const clone = { cloneOf: node.id, name, inputs, outputs: [value] };
    edits.push({ kind: 'insert-node', node: clone, before: expand.id });
  }
  for (const { node, input: index } of graph.uses(expand.id))
    edits.push({ kind: 'rewire', node: node.id, input: index, from: expand.id, to: value });
  return edits;
}

/** From one number to a number for each row. */
interface Way {
  /** The casts on it, in their order. */
  readonly casts: readonly Node[];
  readonly expand: Node;
}

/** Every way on which a number for all rows reaches the rows. @throws IpgraftError `MODEL_NOT_BATCHED` when one is another */
function waysOf(graph: Graph, input: ValueName): Way[] {
  const ways: Way[] = [];
  const rank = graph.inputs.get(input)!.shape!.length;
  const pending: { value: ValueName; rank: number; casts: readonly Node[] }[] = [
    { value: input, rank, casts: [] },
  ];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    if (graph.outputs.has(at.value)) throw otherWay(input, `the output ${at.value}`);
    for (const use of graph.uses(at.value)) {
      const { node } = use;
      if (node.opType === 'Expand' && use.input === 0 && at.rank === 1) {
        ways.push({ casts: at.casts, expand: node });
        continue;
      }
      const after = rankAfter(graph, use, at.rank);
      if (after === undefined) throw otherWay(input, node.label);
      const casts = node.opType === 'Cast' ? [...at.casts, node] : at.casts;
      pending.push({ value: node.id, rank: after, casts });
    }
  }
  return ways;
}

/** The rank of what a node makes of a single number that stays one; `undefined` where it does something else with it. */
function rankAfter(graph: Graph, { node, input }: Use, rank: number): number | undefined {
  if (input !== 0) return undefined;
  const list = () =>
    node.inputs[1] ? constantIntegers(graph, node.inputs[1]) : node.attribute('axes')?.ints;
  switch (node.opType) {
    case 'Cast':
    case 'Identity':
      return rank;
    case 'Unsqueeze': {
      const axes = list();
      return axes === undefined ? undefined : rank + axes.length;
    }
    case 'Squeeze': {
      const axes = list();
      return axes === undefined ? 0 : rank - axes.length;
    }
    case 'Reshape':
      return list()?.length;
    default:
      return undefined;
  }
}

function otherWay(input: ValueName, found: string): IpgraftError {
  return notBatched(
    `input ${input}`,
    `one number for all rows; sought an Expand that repeats it for every row, found ${found}`,
  );
}
