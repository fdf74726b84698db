import assert from 'node:assert/strict';
import fc from 'fast-check';
import { writeModel } from '../../../compiler/onnx/write-model.js';
import { bytesIn, modelBytes, open } from '../generated-models.js';

describe('writeModel', () => {
  it('of the graph that was read is the file', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, async (bytes) => {
        const model = await open(bytes);
        assert.deepEqual(await bytesIn(writeModel(model, model.graph)), bytes);
      }),
    );
  });

  it('of the same items in other lists is the file', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, async (bytes) => {
        const model = await open(bytes);
        const { nodes, initializers, inputs, outputs, metadata } = model.graph;
        const same = model.graph.with({
          nodes: [...nodes],
          initializers: new Map(initializers),
          inputs: new Map(inputs),
          outputs: new Map(outputs),
          metadata: new Map(metadata),
        });
        assert.deepEqual(await bytesIn(writeModel(model, same)), bytes);
      }),
    );
  });

  it('copies nothing of what did not change: it names ranges of the file', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, async (bytes) => {
        const model = await open(bytes);
        const { segments } = writeModel(model, model.graph);
        assert.ok(
          segments.every((segment) => segment.kind !== 'produced' && segment.source === model.source),
        );
      }),
    );
  });

  it('without a node is the file without its record', async () => {
    await fc.assert(
      fc.asyncProperty(modelBytes, fc.nat(), async (bytes, pick) => {
        const model = await open(bytes);
        const { nodes } = model.graph;
        const removed = nodes[pick % nodes.length]!;
        fc.pre(nodes.length > 1);
        const without = model.graph.with({ nodes: nodes.filter((node) => node !== removed) });
        const written = await open(await bytesIn(writeModel(model, without)));
        assert.deepEqual(
          written.graph.nodes.map((node) => node.id),
          without.nodes.map((node) => node.id),
        );
        assert.equal(written.graph.initializers.size, model.graph.initializers.size);
      }),
    );
  });
});
