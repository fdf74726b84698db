import assert from 'node:assert/strict';
import { refuseCycles } from '../../../compiler/analysis/cycles.js';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import type { Graph } from '../../../compiler/onnx/graph.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { readModel } from '../../../compiler/onnx/read-model.js';

/** A graph of Add nodes, each given as `output: inputs`. */
async function graphOf(nodes: Readonly<Record<string, readonly string[]>>): Promise<Graph> {
  const node = Object.entries(nodes).map(([name, input]) => ({
    opType: 'Add',
    name,
    input: [...input],
    output: [name],
  }));
  const bytes = onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: { node },
  }).finish();
  return (await readModel(bufferSource(bytes))).graph;
}

describe('refuseCycles', () => {
  it('accepts a graph in order, and one that is not', async () => {
    const inOrder = await graphOf({ a: ['x', 'x'], b: ['a', 'x'], c: ['a', 'b'] });
    const appended = await graphOf({ c: ['a', 'b'], b: ['a', 'a'], a: ['x', 'x'] });
    assert.deepEqual([inOrder.isSorted, appended.isSorted], [true, false]);
    refuseCycles(inOrder);
    refuseCycles(appended);
  });

  for (const [what, nodes] of [
    ['a node that reads itself', { a: ['a', 'x'] }],
    ['two nodes that read each other', { a: ['b', 'x'], b: ['a', 'x'] }],
    ['a circle behind a legal beginning', { a: ['x', 'x'], b: ['a', 'd'], c: ['b', 'b'], d: ['c', 'c'] }],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const graph = await graphOf(nodes);
      assert.throws(() => refuseCycles(graph), { code: 'MODEL_CYCLE' });
    });
  }
});
