import assert from 'node:assert/strict';
import { compareModels } from '../../../compiler/diff/compare-models.js';
import type { ModelDiff } from '../../../compiler/diff/model-diff.js';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { openModel } from '../../../runtime/open.js';

interface MadeNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
}

function node(output: string, op: string, ...inputs: readonly string[]): MadeNode {
  return { op, inputs, output };
}

async function diffOf(before: readonly MadeNode[], after: readonly MadeNode[]): Promise<ModelDiff> {
  const model = (nodes: readonly MadeNode[]) =>
    openModel(
      bufferSource(
        onnx.ModelProto.encode({
          irVersion: 8,
          opsetImport: [{ version: 17 }],
          graph: {
            node: nodes.map(({ op, inputs, output }) => ({
              opType: op,
              input: [...inputs],
              output: [output],
            })),
            input: [{ name: 'x', type: { tensorType: { elemType: 1 } } }],
          },
        }).finish(),
      ),
    );
  return compareModels(await model(before), await model(after));
}

const SIZE = 15_000;

/** Graphs in which nothing but the order of the file tells nodes apart, or a great many read one value. */
const ALIKE: Readonly<Record<string, (name: string, i: number) => MadeNode>> = {
  'readers of one value': (name, i) => node(`${name}${i}`, 'Relu', 'x'),
  'a chain': (name, i) => node(`${name}${i}`, 'Relu', i === 0 ? 'x' : `${name}${i - 1}`),
  'a hundred chains': (name, i) => node(`${name}${i}`, 'Relu', i % 150 === 0 ? 'x' : `${name}${i - 1}`),
  'a tree': (name, i) => node(`${name}${i}`, 'Relu', i === 0 ? 'x' : `${name}${(i - 1) >> 1}`),
  'a ladder': (name, i) =>
    node(`${name}${i}`, 'Add', ...(i < 2 ? ['x', 'x'] : [`${name}${i - 1}`, `${name}${i - 2}`])),
};

describe('nodes are matched', () => {
  for (const [what, make] of Object.entries(ALIKE)) {
    it(`where all are alike and no name is the same: ${what} of ${SIZE}`, async () => {
      const numbers = Array.from({ length: SIZE }, (_, i) => i);
      const { counts, changes } = await diffOf(
        numbers.map((i) => make('a', i)),
        numbers.map((i) => make('b', i)),
      );
      assert.equal(counts.node.renamed, SIZE);
      assert.ok(changes.every(({ aspects }) => aspects.every(({ kind }) => kind === 'renamed')));
    });
  }

  it('by what is behind them, where two read one value', async () => {
    const { changes } = await diffOf(
      [node('q', 'Relu', 'x'), node('k', 'Relu', 'x'), node('q2', 'Exp', 'q'), node('k2', 'Log', 'k')],
      [node('1', 'Relu', 'x'), node('2', 'Relu', 'x'), node('3', 'Log', '1'), node('4', 'Exp', '2')],
    );
    const pairs = changes.filter(({ subject }) => subject === 'node').map(({ a, b }) => `${a} ${b}`);
    assert.deepEqual(pairs, ['q 2', 'k 1', 'q2 4', 'k2 3']);
  });

  it('by the dataflow, where a name is now that of another node', async () => {
    const chain = (...names: readonly string[]) =>
      ['Relu', 'Exp', 'Log', 'Abs'].map((op, i) => node(names[i]!, op, i === 0 ? 'x' : names[i - 1]!));
    const { counts, changes } = await diffOf(chain('1', '2', '3', '4'), chain('0', '1', '2', '3'));
    assert.deepEqual([counts.node.renamed, counts.node.added, counts.node.removed], [4, 0, 0]);
    assert.deepEqual(
      changes.filter(({ subject }) => subject === 'node').map(({ a, b }) => `${a} ${b}`),
      ['1 0', '2 1', '3 2', '4 3'],
    );
  });

  it('not by an equal name alone, where nothing around agrees', async () => {
    const { changes } = await diffOf(
      [node('p', 'Relu', 'x'), node('n', 'Abs', 'p'), node('q', 'Exp', 'n'), node('m', 'Neg', 'x')],
      [node('p', 'Sin', 'x'), node('n', 'Abs', 'p'), node('q', 'Cos', 'n'), node('m', 'Neg', 'x')],
    );
    const told = changes.map(({ a, b, aspects }) => `${a} ${b} ${aspects.map(({ kind }) => kind)}`);
    assert.deepEqual(told, ['p p changed', 'q q changed']);
  });

  it('an operator put in between is new, and its reader is rewired', async () => {
    const { changes } = await diffOf(
      [node('a', 'Relu', 'x'), node('b', 'Exp', 'a'), node('c', 'Log', 'b')],
      [node('a', 'Relu', 'x'), node('n', 'Abs', 'a'), node('b', 'Exp', 'n'), node('c', 'Log', 'b')],
    );
    assert.deepEqual(
      changes.map(({ a, b, aspects }) => ({ a, b, aspects })),
      [
        { a: 'b', b: 'b', aspects: [{ kind: 'rewired', input: 0, from: 'a', to: 'n' }] },
        { a: null, b: 'n', aspects: [{ kind: 'added' }] },
      ],
    );
  });

  it('as few as possible have moved', async () => {
    const nodes = Array.from({ length: 9 }, (_, i) => node(`n${i}`, 'Relu', 'x'));
    const { changes } = await diffOf(nodes, [
      nodes[8]!,
      ...nodes.slice(0, 4),
      ...nodes.slice(5, 8),
      nodes[4]!,
    ]);
    assert.deepEqual(
      changes.map(({ a, aspects }) => [a, aspects[0]!.kind]),
      [
        ['n4', 'moved'],
        ['n8', 'moved'],
      ],
    );
  });
});
