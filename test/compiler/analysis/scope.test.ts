import assert from 'node:assert/strict';
import { moduleOfParameter, scopeOf } from '../../../compiler/analysis/scope.js';
import { Node } from '../../../compiler/onnx/node.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { ENTRY, NODE } from '../../../compiler/onnx/schema.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { record, textRecord } from '../../../compiler/wire/splice.js';
import { open } from '../generated-models.js';

const PARAMETER = 'down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0.bias';
const TO_K = 'down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k';
const TORCHSCRIPT = '/down_blocks.0/attentions.0/transformer_blocks.0/attn2/to_k';

interface Names {
  readonly name?: string;
  readonly output?: string;
  readonly input?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}

async function scope({ name = '', output = 'val_1', input = ['x'], metadata = {} }: Names) {
  const { graph } = await open(
    onnx.ModelProto.encode({
      opsetImport: [{ version: 17 }],
      graph: {
        node: [{ opType: 'Identity', output: ['only'] }],
        initializer: [PARAMETER, 'onnx::MatMul_7', 'weight'].map((each) => ({ name: each, dataType: 1 })),
      },
    }).finish(),
  );
  const entries = Object.entries(metadata).map(([key, value]) =>
    record(NODE.metadata, Rope.join([textRecord(ENTRY.key, key), textRecord(ENTRY.value, value)])),
  );
  const node = onnx.NodeProto.encode({
    opType: 'MatMul',
    name,
    input: [...input],
    output: [output],
  }).finish();
  return scopeOf(graph, new Node(Rope.join([Rope.of(node), ...entries]), 0));
}

const NAME_SCOPES = 'pkg.torch.onnx.name_scopes';

describe('scopeOf', () => {
  for (const [title, names, path, source] of [
    ['TorchScript’s node name', { name: `${TORCHSCRIPT}/MatMul` }, TO_K, 'node name'],
    ['a wrapped model’s node name', { name: `/unet${TORCHSCRIPT}/MatMul` }, `unet.${TO_K}`, 'node name'],
    [
      'dynamo’s name scopes',
      { name: 'node_linear_8', metadata: { [NAME_SCOPES]: `['', 'down_blocks.0', '${TO_K}', 'linear_8']` } },
      TO_K,
      'node metadata',
    ],
    [
      'name scopes in double quotes',
      { metadata: { [NAME_SCOPES]: `["", "${TO_K}", "linear_8"]` } },
      TO_K,
      'node metadata',
    ],
    [
      'the namespace',
      {
        metadata: {
          namespace: `: diffusers.UNet2DConditionModel/down_blocks.0: a.Block/${TO_K}: torch.nn.Linear/linear_8: aten.linear.default`,
        },
      },
      TO_K,
      'node metadata',
    ],
    ['the value’s name', { output: `${TORCHSCRIPT}/MatMul_output_0` }, TO_K, 'value name'],
    [
      'the name of a bias',
      { input: ['x', PARAMETER] },
      PARAMETER.slice(0, -'.bias'.length),
      'initializer name',
    ],
  ] as const) {
    it(`reads ${title}`, async () => {
      assert.deepEqual(await scope(names), { path, source });
    });
  }

  it('prefers the node’s name to its metadata, and that to the value’s name', async () => {
    const metadata = { [NAME_SCOPES]: "['', 'second', 'linear']" };
    const all = { name: '/first/MatMul', metadata, output: '/third/MatMul_output_0', input: [PARAMETER] };
    assert.equal((await scope(all))?.path, 'first');
    assert.equal((await scope({ ...all, name: 'MatMul_12' }))?.path, 'second');
    assert.equal((await scope({ ...all, name: '', metadata: {} }))?.path, 'third');
  });

  for (const [title, names] of [
    ['a node without names', {}],
    ['a node at the top of the model', { name: '/MatMul' }],
    ['an exporter’s own initializer', { input: ['x', 'onnx::MatMul_7'] }],
    ['a parameter without a module', { input: ['x', 'weight'] }],
    ['a name like a parameter’s that is no initializer', { input: ['attn2.to_k.weight'] }],
    ['name scopes at the top of the model', { metadata: { [NAME_SCOPES]: "['', 'linear']" } }],
    ['name scopes that are no list', { metadata: { [NAME_SCOPES]: 'None' } }],
  ] as const) {
    it(`finds nothing for ${title}`, async () => {
      assert.equal(await scope(names), undefined);
    });
  }
});

describe('moduleOfParameter', () => {
  for (const [name, module] of [
    [PARAMETER, PARAMETER.slice(0, -5)],
    ['attn2.to_k.weight', 'attn2.to_k'],
    ['weight', undefined],
    ['attn2.to_k.weight_quantized', undefined],
    ['onnx::MatMul_12', undefined],
    ['/down/weight.1', undefined],
  ] as const) {
    it(`of ${name} is ${module}`, () => {
      assert.equal(moduleOfParameter(name), module);
    });
  }
});
