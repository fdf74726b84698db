import assert from 'node:assert/strict';
import fc from 'fast-check';
import { apply } from '../../../compiler/edit/apply.js';
import type { Edit } from '../../../compiler/edit/edit.js';
import { journalOf, parseJournal } from '../../../compiler/edit/journal.js';
import { revert } from '../../../compiler/edit/revert.js';
import { integerTensor } from '../../../compiler/onnx/create.js';
import type { Graph } from '../../../compiler/onnx/graph.js';
import type { Model } from '../../../compiler/onnx/read-model.js';
import { writeModel } from '../../../compiler/onnx/write-model.js';
import { bytesIn, modelBytes, open } from '../generated-models.js';

/** What to do next, as numbers that are read against the graph as it then is. */
type Recipe = readonly [kind: number, pick: number, other: number, before: number];
const recipes = fc.array(fc.tuple(fc.nat(5), fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: 15 });

function pick<T>(items: readonly T[], n: number): T {
  return items[n % items.length]!;
}

/** The edit that a recipe means for this graph; `undefined` where it means none. */
function cook(graph: Graph, [kind, first, second, third]: Recipe, n: number): Edit | undefined {
  const made = graph.nodes.map((node) => node.id);
  const values = [...made, ...graph.inputs.keys(), ...graph.initializers.keys()];
  const before = third % 4 === 0 ? null : pick(made, third);
  const inputs = [pick(values, first), pick(values, second)];
  if (kind === 0) {
    const node = { opType: 'Add', name: `/new_${n}`, inputs, outputs: [`new_${n}`] };
    return { kind: 'insert-node', node, before };
  }
  if (kind === 1) {
    const origin = pick(graph.nodes, first);
    const outputs = origin.outputs.map((_, i) => `clone_${n}_${i}`);
    return {
      kind: 'insert-node',
      node: { cloneOf: origin.id, name: `/clone_${n}`, inputs, outputs },
      before,
    };
  }
  if (kind === 2) {
    const readers = graph.nodes.filter((node) => node.inputs.length > 0);
    if (readers.length === 0) return undefined;
    const node = pick(readers, first);
    const input = second % node.inputs.length;
    return { kind: 'rewire', node: node.id, input, from: node.inputs[input]!, to: pick(values, third) };
  }
  if (kind === 3) return { kind: 'insert-initializer', tensor: integerTensor(`tensor_new_${n}`, [first, n]) };
  if (kind === 4) {
    const sized = [...graph.inputs.values()].filter((input) => input.shape?.some((each) => each !== null));
    if (first % 2 === 0 || sized.length === 0)
      return {
        kind: 'insert-input',
        input: { name: `input_new_${n}`, dataType: 'float', shape: ['batch', 4] },
      };
    const { name, shape } = pick(sized, second);
    if (first % 3 === 0)
      return { kind: 'set-input-shape', input: name, from: shape!, to: ['rows', ...shape!, second] };
    const axis = third % shape!.length;
    return { kind: 'set-input-dimension', input: name, axis, from: shape![axis]!, to: first };
  }
  const key = pick([...graph.metadata.keys(), `ipgraft.${n}`], first);
  return { kind: 'set-metadata', key, from: graph.metadata.get(key) ?? null, to: `value ${second}` };
}

function cookAll(graph: Graph, all: readonly Recipe[]): Edit[] {
  const edits: Edit[] = [];
  let current = graph;
  all.forEach((recipe, n) => {
    const edit = cook(current, recipe, n);
    if (edit === undefined) return;
    edits.push(edit);
    current = apply(current, [edit]);
  });
  return edits;
}

async function fileOf(model: Model, graph: Graph): Promise<Buffer> {
  return Buffer.from(await bytesIn(writeModel(model, graph)));
}

describe('apply and revert', () => {
  it('undone in memory, the file is the base byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, recipes, async (bytes, all) => {
        const model = await open(bytes);
        const edits = cookAll(model.graph, all);
        const after = apply(model.graph, edits);
        assert.ok((await fileOf(model, revert(after, journalOf(edits)))).equals(bytes));
      }),
    );
  });

  it('written, read again and undone by the journal as text, the file is the base byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, recipes, async (bytes, all) => {
        const model = await open(bytes);
        const edits = cookAll(model.graph, all);
        const patched = await open(await fileOf(model, apply(model.graph, edits)));
        const journal = parseJournal(JSON.stringify(journalOf(edits)));
        assert.ok((await fileOf(patched, revert(patched.graph, journal))).equals(bytes));
      }),
    );
  });

  it('edits one by one and all at once make the same file', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, recipes, async (bytes, all) => {
        const model = await open(bytes);
        const edits = cookAll(model.graph, all);
        const stepwise = edits.reduce((graph, edit) => apply(graph, [edit]), model.graph);
        assert.ok((await fileOf(model, stepwise)).equals(await fileOf(model, apply(model.graph, edits))));
      }),
    );
  });

  it('what was written reads as what was meant', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, recipes, async (bytes, all) => {
        const model = await open(bytes);
        const after = apply(model.graph, cookAll(model.graph, all));
        const { graph } = await open(await fileOf(model, after));
        const said = (each: Graph) => ({
          nodes: each.nodes.map(({ name, opType, inputs, outputs }) => [name, opType, inputs, outputs]),
          initializers: [...each.initializers.values()].map(({ name, dims }) => [name, dims]).sort(),
          inputs: [...each.inputs.values()].map(({ name, shape }) => [name, shape]).sort(),
          metadata: [...each.metadata].sort(),
        });
        assert.deepEqual(said(graph), said(after));
      }),
    );
  });

  it('a graph is never changed by what is made of it', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, recipes, async (bytes, all) => {
        const model = await open(bytes);
        apply(model.graph, cookAll(model.graph, all));
        assert.ok((await fileOf(model, model.graph)).equals(bytes));
      }),
    );
  });
});
