import assert from 'node:assert/strict';
import type { Graph } from '../../compiler/onnx/graph.js';
import { onnx } from '../../compiler/onnx/proto.js';
import { LARGE } from '../../compiler/wire/load-sparse.js';
import { refuseSubgraphReads } from '../../passes/subgraph-reads.js';
import { open } from '../compiler/generated-models.js';
import { refusal } from '../refusal.js';

/** A graph with one node whose subgraph reads `reads`, beside a constant of `size` bytes. */
async function graphWith(opType: string, attribute: string, reads: string, size: number): Promise<Graph> {
  const inner = {
    name: 'body',
    node: [
      { opType: 'Identity', input: [reads], output: ['inner'] },
      {
        opType: 'Constant',
        output: ['constant'],
        attribute: [
          { name: 'value', type: 4, t: { dataType: 2, dims: [size], rawData: new Uint8Array(size) } },
        ],
      },
    ],
    output: [{ name: 'inner' }],
  };
  const node = { opType, input: ['x'], output: ['y'], attribute: [{ name: attribute, type: 5, g: inner }] };
  const bytes = onnx.ModelProto.encode({ opsetImport: [{ version: 17 }], graph: { node: [node] } }).finish();
  return (await open(bytes)).graph;
}

describe('refuseSubgraphReads', () => {
  for (const [opType, attribute] of [
    ['If', 'then_branch'],
    ['If', 'else_branch'],
    ['Loop', 'body'],
    ['Scan', 'body'],
  ] as const) {
    it(`refuses a text read in the ${attribute} of ${opType}`, async () => {
      const graph = await graphWith(opType, attribute, 'text', 4);
      assert.throws(() => refuseSubgraphReads(graph, 'text'), refusal('MODEL_SUBGRAPH_READS_TEXT'));
    });
  }

  it('refuses it beside a constant that is too large to be in memory', async () => {
    const graph = await graphWith('If', 'then_branch', 'text', LARGE);
    assert.throws(() => refuseSubgraphReads(graph, 'text'), refusal('MODEL_SUBGRAPH_READS_TEXT'));
  });

  it('takes a subgraph that reads something else', async () => {
    const graph = await graphWith('If', 'then_branch', 'text_2', 4);
    assert.doesNotThrow(() => refuseSubgraphReads(graph, 'text'));
  });
});
