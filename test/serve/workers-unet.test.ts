import assert from 'node:assert/strict';
import { join } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { ServedModel } from '../../runtime/serve/backend.js';
import type { Tensor } from '../../runtime/serve/tensor.js';
import { serveModel } from '../../runtime/serve/workers/serve-model.js';
import { ipgraft, placeModel } from '../command.js';
import { adapterPath, modelPath } from '../fixtures.js';
import { refusal } from '../refusal.js';
import { tensor } from './tensors.js';

const values = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i));
const WIDTH = 24;
const SAMPLE = { data: values(2 * 4 * 16 * 16), dims: [2, 4, 16, 16] };

/** One step in this process: the bytes of the noise. */
async function direct(path: string, tokens: number, scale?: number): Promise<Uint8Array> {
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const { out_sample: noise } = await session.run({
    sample: new OrtTensor('float32', SAMPLE.data, SAMPLE.dims),
    timestep: new OrtTensor('int64', BigInt64Array.of(10n), []),
    encoder_hidden_states: new OrtTensor('float32', values(2 * tokens * WIDTH), [2, tokens, WIDTH]),
    ...(scale !== undefined && { ip_scale: new OrtTensor('float32', Float32Array.of(scale), [1]) }),
  });
  await session.release();
  return Uint8Array.from(new Uint8Array((noise!.data as Float32Array).buffer));
}

/** The same, for a worker. */
function step(tokens: number, scale?: number): Tensor[] {
  return [
    tensor('sample', 'FP32', SAMPLE.dims, SAMPLE.data),
    tensor('timestep', 'INT64', [1], BigInt64Array.of(10n)),
    tensor('encoder_hidden_states', 'FP32', [2, tokens, WIDTH], values(2 * tokens * WIDTH)),
    ...(scale === undefined ? [] : [tensor('ip_scale', 'FP32', [1], Float32Array.of(scale))]),
  ];
}

async function noise(served: ServedModel, inputs: readonly Tensor[]): Promise<Uint8Array> {
  const { outputs } = await served.infer(inputs);
  assert.deepEqual([outputs[0]!.name, outputs[0]!.shape], ['out_sample', SAMPLE.dims]);
  return Uint8Array.from(outputs[0]!.data);
}

describe('a UNet in a worker', () => {
  let served: ServedModel | undefined;
  afterEach(() => served?.close(0));

  it('answers bit for bit as in this process, and goes on after what it cannot run', async () => {
    const path = modelPath('sd15-sdpa-dynamo18');
    served = await serveModel(path, { threads: 1 });
    const expected = await direct(path, 7);
    assert.deepEqual(await noise(served, step(7)), expected);
    const odd = tensor('sample', 'FP32', [2, 4, 3, 3], values(2 * 4 * 3 * 3));
    await assert.rejects(served.infer([odd, ...step(7).slice(1)]), refusal('RUNTIME_RUN'));
    assert.deepEqual(await noise(served, step(7)), expected);
  });

  it('lets a caller override a scale that has a default, with weights outside the file', async () => {
    const { folder, base } = placeModel('sd15-sdpa-ts17-external');
    const compile = async (name: string, scale: string) => {
      const path = join(folder, name);
      const { code, stderr } = await ipgraft(
        'compile',
        base,
        ...['--adapter', adapterPath('sd15', 'base'), '--scale', scale, '-o', path],
      );
      assert.equal(code, 0, stderr);
      return path;
    };
    const optional = await compile('optional.onnx', 'optional=0.6');
    const required = await compile('required.onnx', 'input');
    served = await serveModel(optional, { threads: 1 });
    assert.deepEqual(
      served.inputs.filter((input) => input.optional).map(({ name, shape }) => [name, shape]),
      [['ip_scale', [1]]],
    );
    const withDefault = await noise(served, step(11));
    assert.deepEqual(withDefault, await direct(optional, 11));
    const overridden = await noise(served, step(11, 0.2));
    assert.deepEqual(overridden, await direct(required, 11, 0.2));
    assert.notDeepEqual(overridden, withDefault);
  });
});
