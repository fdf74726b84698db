import assert from 'node:assert/strict';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { type Model, readModel } from '../../../compiler/onnx/read-model.js';
import { GRAPH, MODEL } from '../../../compiler/onnx/schema.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { integerRecord, record } from '../../../compiler/wire/splice.js';
import { refusal } from '../../refusal.js';

type ModelProto = Parameters<typeof onnx.ModelProto.encode>[0];

const node = { opType: 'Identity', input: ['x'], output: ['y'] };
const good: ModelProto = {
  irVersion: 8,
  producerName: 'pytorch',
  opsetImport: [{ domain: '', version: 17 }],
  graph: { node: [node], input: [{ name: 'x' }], output: [{ name: 'y' }] },
};

function read(...messages: readonly ModelProto[]): Promise<Model> {
  const bytes = Buffer.concat(messages.map((message) => onnx.ModelProto.encode(message).finish()));
  return readModel(bufferSource(bytes, 'unet.onnx'));
}

describe('readModel', () => {
  it('tells versions, opsets and metadata', async () => {
    const { graph } = await read({
      ...good,
      opsetImport: [
        { domain: '', version: 18 },
        { domain: 'com.microsoft', version: 1 },
      ],
      metadataProps: [{ key: 'author', value: 'me' }],
    });
    assert.equal(graph.irVersion, 8);
    assert.equal(graph.opset, 18);
    assert.deepEqual(
      [...graph.opsetImports],
      [
        ['', 18],
        ['com.microsoft', 1],
      ],
    );
    assert.deepEqual([...graph.metadata], [['author', 'me']]);
  });

  it('takes ai.onnx for the name of the main domain', async () => {
    assert.equal(
      (await read({ ...good, opsetImport: [{ domain: 'ai.onnx', version: 21 }] })).graph.opset,
      21,
    );
  });

  for (const [title, message, code] of [
    ['no graph', { ...good, graph: null }, 'MODEL_NOT_ONNX'],
    ['no opset', { ...good, opsetImport: [] }, 'MODEL_NOT_ONNX'],
    ['no nodes', { ...good, graph: { node: [] } }, 'MODEL_EMPTY'],
    [
      'two inputs of one name',
      { ...good, graph: { node: [node], input: [{ name: 'x' }, { name: 'x' }] } },
      'MODEL_DUPLICATE_NAME',
    ],
    [
      'two initializers of one name',
      { ...good, graph: { node: [node], initializer: [{ name: 'w' }, { name: 'w' }] } },
      'MODEL_DUPLICATE_NAME',
    ],
  ] as const) {
    it(`refuses a model with ${title} as ${code}`, async () => {
      await assert.rejects(read(message as unknown as ModelProto), refusal(code));
    });
  }

  it('refuses two graphs instead of merging them', async () => {
    await assert.rejects(read(good, good), refusal('MODEL_NOT_ONNX'));
  });

  it('is not taken in by a ninth byte that looks like the beginning of JSON', async () => {
    // ir_version, then at once a graph of 2 to 256 MB whose first node has 123 (“{”) bytes.
    const name = 'n'.repeat(115);
    const first = onnx.NodeProto.encode({ input: ['x'], output: ['y'], name }).finish();
    const graph = Rope.join([
      record(GRAPH.node, first),
      record(
        GRAPH.initializer,
        onnx.TensorProto.encode({ name: 'w', rawData: new Uint8Array(3e6) }).finish(),
      ),
    ]);
    const file = Rope.join([
      integerRecord(MODEL.irVersion, 8),
      record(MODEL.graph, graph),
      record(MODEL.opsetImport, integerRecord(2, 17)),
    ]);
    const bytes = file.bytes!;
    assert.equal(bytes[8], '{'.charCodeAt(0), `${first.length}`);
    assert.equal((await readModel(bufferSource(bytes))).graph.nodes.length, 1);
  });
});
