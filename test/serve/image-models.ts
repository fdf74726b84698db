import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { DATA_TYPE } from '../../compiler/onnx/data-type.js';
import { onnx } from '../../compiler/onnx/proto.js';
import { serveModel } from '../../runtime/serve/workers/serve-model.js';
import { ipgraft } from '../command.js';
import { type AdapterKind, adapterPath, freshFolder, modelPath } from '../fixtures.js';
import { startServer, type TestServer } from './http-server.js';
import { value, writeSmallModel } from './small-models.js';

const { TensorProto } = onnx;
/** Of the encoder's embeddings and hidden states: what the adapters of the fixtures read. */
export const WIDTH = 20;
const PIXELS = 3 * 4 * 4;
export const IMAGE = [3, 4, 4] as const;

function weight(name: string, dims: readonly number[], seed: number) {
  const count = dims.reduce((a, b) => a * b, 1);
  const floatData = Array.from({ length: count }, (_, i) => Math.sin(i * 7 + seed) / 4);
  return TensorProto.create({ name, dataType: DATA_TYPE.float, dims: [...dims], floatData });
}

/**
 * An image encoder in the form of transformers' exports: `pixel_values` [B, 3, 4, 4] → `image_embeds` [B, 20] and, where `layers` says how
 * many, `hidden_states.0` to `.layers` [B, 3, 20].
 */
export function encoderModel(layers?: number): string {
  const states =
    layers === undefined ? [] : Array.from({ length: layers + 1 }, (_, i) => `hidden_states.${i}`);
  const shape = (name: string, ...data: bigint[]) =>
    TensorProto.create({
      name,
      dataType: DATA_TYPE.int64,
      dims: [data.length],
      rawData: new Uint8Array(BigInt64Array.from(data).buffer),
    });
  return writeSmallModel({
    node: [
      { opType: 'Reshape', name: 'flat', input: ['pixel_values', 'all'], output: ['flat'] },
      { opType: 'MatMul', name: 'embed', input: ['flat', 'w'], output: ['image_embeds'] },
      { opType: 'Reshape', name: 'rows', input: ['pixel_values', 'channels'], output: ['rows'] },
      ...states.map((name, i) => ({ opType: 'MatMul', name, input: ['rows', `w.${i}`], output: [name] })),
    ],
    initializer: [
      shape('all', -1n, BigInt(PIXELS)),
      shape('channels', -1n, 3n, 16n),
      weight('w', [PIXELS, WIDTH], 1),
      ...states.map((_, i) => weight(`w.${i}`, [16, WIDTH], i + 2)),
    ],
    input: [value(['pixel_values', 'float', ['batch', ...IMAGE]])],
    output: [
      value(['image_embeds', 'float', ['batch', WIDTH]]),
      ...states.map((name) => value([name, 'float', ['batch', 3, WIDTH]])),
    ],
  });
}

/** What `ipgraft project` writes of an adapter of the fixtures. */
export async function projection(kind: AdapterKind): Promise<string> {
  const path = join(freshFolder(), 'model.onnx');
  await ipgraft('project', adapterPath('sd15', kind), '-o', path);
  return path;
}

/** What `ipgraft compile --hoist` writes: a UNet, and the model of its keys and values. */
export async function hoisted(kind: AdapterKind): Promise<{ readonly unet: string; readonly kv: string }> {
  const unet = join(freshFolder(), 'unet.onnx');
  const model = modelPath('sd15-sdpa-dynamo18');
  await ipgraft(
    'compile',
    model,
    '-a',
    adapterPath('sd15', kind),
    '-o',
    unet,
    '--tokens',
    'input',
    '--hoist',
    '--weights',
    'copy',
  );
  return { unet, kv: unet.replace('.onnx', '.kv.onnx') };
}

/** What lies in a model's folder: its file as version 1, and a config.pbtxt. */
export interface Placed {
  readonly file?: string;
  readonly config?: string;
}

/** A repository of models; a text is a file. */
export function repositoryOf(models: Readonly<Record<string, string | Placed>>): string {
  const folder = freshFolder();
  for (const [name, model] of Object.entries(models)) {
    const { file, config } = typeof model === 'string' ? { file: model, config: undefined } : model;
    mkdirSync(join(folder, name), { recursive: true });
    if (config !== undefined) writeFileSync(join(folder, name, 'config.pbtxt'), config);
    if (file === undefined) continue;
    const path = join(folder, name, '1', 'model.onnx');
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(file, path);
  }
  return folder;
}

/** Serves a folder in processes, as the command line does. */
export function serveFolder(
  folder: string,
  options: Parameters<typeof startServer>[1] = {},
): Promise<TestServer> {
  return startServer(
    {},
    {
      folder,
      cache: 2 ** 20,
      loadModel: (path, settings) => serveModel(path, { threads: 1, ...settings }),
      ...options,
    },
  );
}

/** Numbers of a seed, as an input of an infer request. */
export function input(name: string, shape: readonly number[], seed = 0) {
  const count = shape.reduce((a, b) => a * b, 1);
  const data = Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * 3 + seed)));
  return { name, datatype: 'FP32', shape, data };
}

/** Runs a model in this process on one input: the numbers of an output. */
export async function direct(
  path: string,
  { name, shape, data }: { name: string; shape: readonly number[]; data: readonly number[] },
  output: string,
): Promise<{ name: string; shape: readonly number[]; data: number[] }> {
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const result = (
    await session.run({ [name]: new OrtTensor('float32', Float32Array.from(data), shape) }, [output])
  )[output]!;
  const made = { name: output, shape: result.dims, data: [...(result.data as Float32Array)] };
  await session.release();
  return made;
}
