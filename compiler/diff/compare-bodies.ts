import type { Initializer } from '../onnx/initializer.js';
import type { Node, ValueName } from '../onnx/node.js';
import { GRAPH } from '../onnx/schema.js';
import type { ValueInfo } from '../onnx/value-info.js';
import type { Rope } from '../wire/rope.js';
import { type Body, graphBody } from './body.js';
import { compareNode } from './compare-node.js';
import { compareTensor, type Data, describeTensor } from './compare-tensor.js';
import { compareValue, describeValue } from './compare-value.js';
import { contentKey, Interner, tensorKey } from './content-keys.js';
import type { Compared } from './contexts.js';
import { Dataflow } from './dataflow.js';
import { matchNodes } from './match-nodes.js';
import { matchInitializers, matchInputs } from './match-values.js';
import type { Aspect } from './model-diff.js';
import { type Findings, Reporter } from './reporter.js';

/** Fields of a GraphProto that are compared as wholes. */
const GRAPH_FIELDS = {
  [GRAPH.name]: 'graph name',
  10: 'graph doc_string',
  14: 'quantization_annotation',
  [GRAPH.sparseInitializer]: 'sparse_initializer',
  16: 'graph metadata_props',
};

/** Values of A around a body, by those of B. */
export type Surroundings = ReadonlyMap<ValueName, ValueName>;

/**
 * Compares what two bodies hold: matches nodes, then values, then compares each pair. Graphs in attributes are bodies too, and see the
 * values around them. Tensor data is read where it is not the same place of the same file.
 */
export async function compareBodies(
  a: Body,
  b: Body,
  scope: string,
  around: Surroundings,
  data: Data,
  findings: Findings,
): Promise<void> {
  const inputs = matchInputs(a.inputs, b.inputs);
  const [tensorsA, tensorsB] = [byName(a.initializers), byName(b.initializers)];
  const nodes = pairNodes(a, b, new Map([...around, ...inputs]));
  const initializers = matchInitializers(nodes, tensorsA, tensorsB);
  const values = new Map([...around, ...inputs, ...initializers]);
  for (const [x, y] of nodes) {
    x.outputs.forEach((value, i) => {
      if (value !== '' && (y.outputs[i] ?? '') !== '') values.set(value, y.outputs[i]!);
    });
  }
  const report = new Reporter(scope, findings);
  const named = { name: ({ name }: ValueInfo) => name, label: describeValue };
  // An output is what callers call it; a note is about a value, whatever its name.
  const outputs = pairUp(a.outputs, b.outputs, (name) => [name, values.get(name)]);
  const notes = pairUp(a.values, b.values, (name) => [values.get(name), name]);
  await report.all(
    'input',
    a.inputs,
    b.inputs,
    pairUp(a.inputs, b.inputs, (name) => [inputs.get(name)]),
    {
      ...named,
      compare: compareValue,
    },
  );
  await report.all('output', a.outputs, b.outputs, outputs, { ...named, compare: compareValue });
  await report.all(
    'initializer',
    a.initializers,
    b.initializers,
    pairUp(a.initializers, b.initializers, (name) => [initializers.get(name)]),
    { name: ({ name }) => name, label: describeTensor, compare: (x, y) => compareTensor(x, y, data) },
  );
  const graphs: { node: Node; name: string; a: Rope; b: Rope }[] = [];
  const ofA = new Set(values.values());
  const sameData = async (x: Rope, y: Rope) => (await data.firstDifference(x, y)) === null;
  await report.all('node', a.nodes, b.nodes, nodes, {
    name: ({ id }) => id,
    label: ({ label }) => label,
    async compare(x, y) {
      const valueOfB = (value: ValueName) => values.get(value);
      const found = await compareNode(x, y, valueOfB, (value) => ofA.has(value), sameData);
      graphs.push(...found.graphs.map((graph) => ({ ...graph, node: x })));
      return [...found.aspects, ...(await outsideData(x, y, data))];
    },
  });
  await report.all('value', a.values, b.values, notes, { ...named, compare: compareValue });
  await report.rest(a.rest, b.rest, sameData, scope.startsWith('function') ? {} : GRAPH_FIELDS);
  for (const { node, name, a: ours, b: theirs } of graphs) {
    const inside = `${scope === '' ? '' : `${scope} › `}${node.label}, ${name}`;
    await compareBodies(graphBody(ours), graphBody(theirs), inside, values, data, findings);
  }
}

function byName(tensors: readonly Initializer[]): Map<ValueName, Initializer> {
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

function pairNodes(a: Body, b: Body, known: ReadonlyMap<ValueName, ValueName>): [Node, Node][] {
  const interner = new Interner();
  const [left, right] = [compared(a, interner), compared(b, interner)];
  const pairs: [Node, Node][] = [];
  matchNodes(left, right, known).forEach((other, node) => {
    if (other !== -1) pairs.push([a.nodes[node]!, b.nodes[other]!]);
  });
  return pairs;
}

function compared(body: Body, interner: Interner): Compared {
  const tensors = byName(body.initializers);
  const inputs = new Map(body.inputs.map((input) => [input.name, input]));
  return {
    flow: new Dataflow(body),
    contents: Int32Array.from(body.nodes, (node) => interner.number(contentKey(node))),
    leaf(value) {
      const tensor = tensors.get(value);
      if (tensor !== undefined) return tensorKey(tensor);
      const input = inputs.get(value);
      return input === undefined ? (value === '' ? '' : 'outside') : `input ${input.dataType}`;
    },
  };
}

/**
 * Pairs things that are each called by a name: with the first of the candidates that B has. In A's order. Some tools note a value twice: the
 * first note then goes with the first.
 */
function pairUp<T extends { readonly name: string }>(
  a: readonly T[],
  b: readonly T[],
  candidates: (name: string) => readonly (string | undefined)[],
): [T, T][] {
  const theirs = new Map<string | undefined, T[]>();
  for (const item of b.toReversed()) {
    const same = theirs.get(item.name);
    if (same === undefined) theirs.set(item.name, [item]);
    else same.push(item);
  }
  const pairs: [T, T][] = [];
  for (const item of a) {
    const name = candidates(item.name).find((each) => (theirs.get(each)?.length ?? 0) > 0);
    const other = theirs.get(name)?.pop();
    if (other !== undefined) pairs.push([item, other]);
  }
  return pairs;
}

/** Constants may name their data outside the model: nodes of equal bytes can hold other numbers. */
async function outsideData(a: Node, b: Node, data: Data): Promise<Aspect[]> {
  const [ours, theirs] = [a.tensors(), b.tensors()];
  for (const [i, { external }] of ours.entries()) {
    const other = theirs[i]?.external ?? null;
    if (external === null || other === null) continue;
    const at = await data.firstDifference(
      await data.external('a', external),
      await data.external('b', other),
    );
    if (at !== null) return [{ kind: 'changed', what: 'data', from: null, to: `other bytes from ${at} on` }];
  }
  return [];
}
