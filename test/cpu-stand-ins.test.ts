import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeFloats } from '../compiler/checkpoint/number-format.js';
import { DATA_TYPE } from '../compiler/onnx/data-type.js';
import { onnx } from '../compiler/onnx/proto.js';
import { fixturePath, formPath, freshFolder } from './fixtures.js';
import { appendTokens, largestDifference, type Reference, readReference, type Values } from './numbers.js';
import { patchFile } from './patched.js';
import { load, unetInputs } from './session.js';

type Model = InstanceType<typeof onnx.ModelProto>;

const ADAPTER = fixturePath('forms', 'compact.adapter.safetensors');

/**
 * Forms that ONNX Runtime's CPU provider cannot run are patched as they are, and then rewritten here to what it can run: what a GPU would
 * compute, node by node, with packed values cut apart or bfloat16 widened.
 */
async function onCpu(path: string, rewrite: (model: Model) => void): Promise<string> {
  const model = onnx.ModelProto.decode(readFileSync(path)) as Model;
  rewrite(model);
  const rewritten = join(freshFolder(), 'cpu.onnx');
  writeFileSync(rewritten, onnx.ModelProto.encode(model).finish());
  return rewritten;
}

/** Keys and values [B, L, H, 2, d], or queries with them [B, S, H, 3, d], as values of their own [B, L, H · d]. */
function unpackHeads(swapImage = false): (model: Model) => void {
  return ({ graph }) => {
    const nodes: (typeof graph & object)['node'] = [];
    const integers = (name: string, values: number[], dims: number[]) => {
      const int64Data = values;
      graph!.initializer!.push(onnx.TensorProto.create({ name, dims, dataType: DATA_TYPE.int64, int64Data }));
      return name;
    };
    const flat = integers('unpack_shape', [0, 0, -1], [3]);
    const indices = [0, 1, 2].map((index) => integers(`unpack_${index}`, [index], []));
    let packed = 0;
    for (const node of graph!.node!) {
      const parts = node.input!.length === 1 ? 3 : 2;
      const isPacked = node.opType === 'MultiHeadAttention' && node.input!.length <= 2;
      if (isPacked) {
        packed += 1;
        const source = node.input!.at(-1)!;
        const swapped = swapImage && node.name!.includes('/ip');
        const apart = Array.from({ length: parts }, (_, part) => {
          const index = indices[swapped ? parts - 1 - part : part]!;
          const name = `${node.name}_unpacked_${part}`;
          const axis = { name: 'axis', type: onnx.AttributeProto.AttributeType.INT, i: 3 };
          nodes!.push(
            onnx.NodeProto.create({
              opType: 'Gather',
              name: `${name}_gather`,
              input: [source, index],
              output: [`${name}_4d`],
              attribute: [axis],
            }),
            onnx.NodeProto.create({ opType: 'Reshape', name, input: [`${name}_4d`, flat], output: [name] }),
          );
          return name;
        });
        node.input = [...node.input!.slice(0, -1), ...apart];
      }
      nodes!.push(node);
    }
    assert.ok(packed >= 32, `${packed}`);
    graph!.node = nodes!;
  };
}

/** bfloat16 → float32, which holds each of its numbers exactly. */
function widen({ graph }: Model): void {
  const widenTensor = (tensor: Parameters<typeof onnx.TensorProto.create>[0] & object) => {
    if (tensor.dataType !== DATA_TYPE.bfloat16) return;
    tensor.dataType = DATA_TYPE.float;
    assert.ok(tensor.rawData!.length > 0 || tensor.dims!.includes(0));
    const floats = decodeFloats(tensor.rawData!.slice(), 'bfloat16').slice();
    tensor.rawData = new Uint8Array(floats.buffer);
  };
  graph!.initializer!.forEach(widenTensor);
  graph!.valueInfo = [];
  for (const { attribute, opType } of graph!.node!)
    for (const each of attribute!) {
      if (each.t) widenTensor(each.t);
      if (opType === 'Cast' && each.name === 'to' && Number(each.i) === DATA_TYPE.bfloat16)
        each.i = DATA_TYPE.float;
    }
}

interface Results {
  readonly base: Float32Array;
  readonly at: (scale: (id: number) => number) => Promise<Float32Array>;
  readonly ids: readonly number[];
  readonly release: () => Promise<void>;
}

/** The form with its adapter, and the base, on the CPU. */
async function computed(
  form: string,
  rewrite: (model: Model) => void,
  expected: Reference,
): Promise<Results> {
  const file = formPath(`compact-${form}`);
  const inputs = unetInputs(expected);
  const base = await load(await onCpu(file, rewrite));
  const untouched = [...(await base.run(inputs)).values()][0]!.data;
  await base.release();
  const { path, patched } = await patchFile(
    file,
    [ADAPTER],
    { tokens: 'input', scale: 'layers' },
    { weights: 'copy' },
  );
  const session = await load(await onCpu(path, rewrite));
  const ids = patched.located.attentions.map(({ id }) => id);
  return {
    base: untouched,
    ids,
    async at(scale) {
      const ip_scale = { dims: [1, ids.length], data: Float32Array.from(ids, scale) };
      const feeds = { ...inputs, ip_hidden_states: imageTokens(expected), ip_scale };
      return [...(await session.run(feeds)).values()][0]!.data;
    },
    release: () => session.release(),
  };
}

function imageTokens(expected: Reference): Values {
  const { dims, data } = expected.get('ip_hidden_states');
  return { dims: [dims[0]!, dims.at(-2)!, dims.at(-1)!], data };
}

describe('forms that only a GPU runs, computed on the CPU', () => {
  let expected: Reference;

  before(async () => {
    expected = await readReference(fixturePath('forms', 'compact.reference.safetensors'));
  });

  it('packed keys and values: what diffusers computes, one attention at a time too', async () => {
    const { base, at, ids, release } = await computed('mhapacked', unpackHeads(), expected);
    assert.equal(largestDifference(await at(() => 0), base), 0);
    for (const [name, scale] of [
      ['base', () => 0],
      ['out_scale_1.0', () => 1],
      ['out_scale_0.6', () => 0.6],
      ...ids.map((id) => [`only_${id}`, (each: number) => Number(each === id)] as const),
    ] as const) {
      const difference = largestDifference(await at(scale), expected.get(name).data);
      assert.ok(difference <= 1e-5, `${name}: ${difference}`);
    }
    await release();
  });

  it('packed keys and values in a split model', async () => {
    const { path } = await patchFile(
      formPath('compact-mhapacked'),
      [ADAPTER],
      { scale: '0.6' },
      { weights: 'copy' },
    );
    const session = await load(await onCpu(path, unpackHeads()));
    const inputs = unetInputs(expected);
    const encoder_hidden_states = appendTokens(inputs.encoder_hidden_states!, imageTokens(expected));
    const found = [...(await session.run({ ...inputs, encoder_hidden_states })).values()][0]!.data;
    assert.ok(largestDifference(found, expected.get('out_scale_0.6').data) <= 1e-5);
    await session.release();
  });

  it('keys packed in the place of values would be noticed', async () => {
    const { at, release } = await computed('mhapacked', unpackHeads(true), expected);
    const difference = largestDifference(await at(() => 1), expected.get('out_scale_1.0').data);
    assert.ok(difference > 1e-2, `${difference}`);
    await release();
  });

  it('bfloat16: what diffusers computes, as closely as float16', async () => {
    const { base, at, ids, release } = await computed('bf16', widen, expected);
    const own = largestDifference(base, expected.get('base').data);
    // The weights are numbers that bfloat16 holds exactly: what is off is constants.
    assert.ok(own < 1e-3, `${own}`);
    assert.equal(largestDifference(await at(() => 0), base), 0);
    // The adapter’s weights, float32, are rounded to bfloat16.
    const limit = 5e-3;
    for (const [name, scale] of [
      ['out_scale_1.0', () => 1],
      ['out_scale_0.6', () => 0.6],
      ...ids.map((id) => [`only_${id}`, (each: number) => Number(each === id)] as const),
    ] as const) {
      const difference = largestDifference(await at(scale), expected.get(name).data);
      assert.ok(difference <= limit, `${name}: ${difference}`);
    }
    console.log(
      `        base ${own.toExponential(1)}, scale 1 ${largestDifference(await at(() => 1), expected.get('out_scale_1.0').data).toExponential(1)}`,
    );
    await release();
  });
});
