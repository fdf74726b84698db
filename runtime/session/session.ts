import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { decodeFloats, encodeFloats } from '../../compiler/checkpoint/number-format.js';
import { IpgraftError } from '../../compiler/errors.js';
import {
  createSession,
  failingAs,
  loadRuntime,
  type ModelBytes,
  type Provider,
  type Runtime,
} from './load-runtime.js';

/** Numbers with a shape. */
export interface Values {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** A model loaded in onnxruntime-node, fed with plain numbers: they are converted to what each input wants, and back. */
export interface Session {
  /** The inputs that a caller must give. */
  readonly inputs: readonly string[];
  /** @throws IpgraftError `RUNTIME_RUN` */
  run(feeds: Readonly<Record<string, Values>>): Promise<Map<string, Values>>;
  release(): Promise<void>;
}

/** Which of ONNX Runtime's providers ran how many nodes, by its own name: `CPUExecutionProvider`. */
export type NodeCounts = ReadonlyMap<string, number>;

/**
 * Loads a model, a file or one in memory. Nodes that a provider does not take run on the CPU.
 * @throws IpgraftError `RUNTIME_MISSING`, `RUNTIME_LOAD`, `RUNTIME_PROVIDER`
 */
export async function loadSession(model: string | ModelBytes, provider: Provider = 'cpu'): Promise<Session> {
  const ort = await loadRuntime();
  return wrap(ort, await create(ort, model, provider));
}

function wrap(ort: Runtime, session: InferenceSession): Session {
  const types = new Map(session.inputMetadata.map((input) => [input.name, input.isTensor ? input.type : '']));
  return {
    inputs: session.inputNames,
    async run(feeds) {
      const tensors = Object.fromEntries(
        Object.entries(feeds).map(([name, values]) => [
          name,
          toTensor(ort, values, types.get(name) ?? 'float32'),
        ]),
      );
      const results = await failingAs('RUNTIME_RUN', () => session.run(tensors));
      return new Map(Object.entries(results).map(([name, tensor]) => [name, fromTensor(tensor)]));
    },
    release: () => session.release(),
  };
}

/**
 * Runs a model file once and asks ONNX Runtime's profile which provider ran each of its nodes that make floats; shapes are whole numbers, and
 * the CPU's on every provider.
 * @throws IpgraftError as {@link loadSession} and {@link Session.run}
 */
export async function countNodes(
  path: string,
  feeds: Readonly<Record<string, Values>>,
  provider: Provider,
): Promise<NodeCounts> {
  const ort = await loadRuntime();
  const folder = await mkdtemp(join(tmpdir(), 'ipgraft-profile-'));
  try {
    const profiling = { enableProfiling: true, profileFilePrefix: join(folder, 'profile') };
    const session = await create(ort, path, provider, profiling);
    try {
      await wrap(ort, session).run(feeds);
      session.endProfiling();
    } finally {
      await session.release();
    }
    const [file] = await readdir(folder);
    return countEvents(JSON.parse(await readFile(join(folder, file!), 'utf8')) as ProfileEvent[]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface ProfileEvent {
  readonly name: string;
  readonly args?: {
    readonly provider?: string;
    readonly output_type_shape?: readonly Readonly<Record<string, unknown>>[];
  };
}

function countEvents(events: readonly ProfileEvent[]): NodeCounts {
  const counts = new Map<string, number>();
  for (const { name, args } of events) {
    if (args?.provider === undefined || !name.endsWith('_kernel_time')) continue;
    if (!args.output_type_shape?.some((output) => 'float' in output || 'float16' in output)) continue;
    counts.set(args.provider, (counts.get(args.provider) ?? 0) + 1);
  }
  return counts;
}

/**
 * Numbers as the file says them: ONNX Runtime fuses products with the quantization around them, and on processors without VNNI the fused
 * kernels saturate at sixteen bits, each graph at other places.
 */
const AS_WRITTEN = { extra: { session: { disable_quant_qdq: '1' } } } as const;

/** Where a provider fails and the CPU does not, the provider is to blame. */
async function create(
  ort: Runtime,
  model: string | ModelBytes,
  provider: Provider,
  profiling: InferenceSession.SessionOptions = {},
): Promise<InferenceSession> {
  try {
    return await createSession(ort, model, provider, { ...AS_WRITTEN, ...profiling });
  } catch (cause) {
    if (provider === 'cpu') throw cause;
    await (await create(ort, model, 'cpu')).release();
    throw new IpgraftError(
      'RUNTIME_PROVIDER',
      `--provider ${provider}: ${(cause as Error).message}`,
      { provider },
      { cause },
    );
  }
}

/** Numbers as a tensor of the type that an input wants. */
export function toTensor(ort: Runtime, { data, dims }: Values, type: string): Tensor {
  switch (type as InferenceSession.TensorValueMetadata['type']) {
    case 'int64':
      return new ort.Tensor(
        'int64',
        BigInt64Array.from(data, (value) => BigInt(value)),
        dims,
      );
    case 'int32':
      return new ort.Tensor('int32', Int32Array.from(data), dims);
    case 'bool':
      return new ort.Tensor('bool', Uint8Array.from(data), dims);
    case 'float64':
      return new ort.Tensor('float64', Float64Array.from(data), dims);
    case 'float16':
      return new ort.Tensor('float16', new Uint16Array(encodeFloats(data, 'float16').buffer), dims);
    default:
      return new ort.Tensor('float32', data, dims);
  }
}

function fromTensor(tensor: Tensor): Values {
  const { dims, type } = tensor;
  if (type !== 'float16') return { dims, data: Float32Array.from(tensor.data as Float32Array, Number) };
  const { buffer, byteOffset, byteLength } = tensor.data as unknown as Uint16Array;
  return { dims, data: decodeFloats(new Uint8Array(buffer, byteOffset, byteLength), 'float16') };
}
