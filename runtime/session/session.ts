import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { decodeFloats, encodeFloats } from '../../compiler/checkpoint/number-format.js';
import { failingAs, loadRuntime, type Runtime } from './load-runtime.js';

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

/**
 * Loads a model file on the CPU.
 * @throws IpgraftError `RUNTIME_MISSING`, `RUNTIME_LOAD`
 */
export async function loadSession(path: string): Promise<Session> {
  const ort = await loadRuntime();
  // Only what ends in an error is worth a line: warnings about inputs with defaults are not.
  const options = { logSeverityLevel: 3, executionProviders: ['cpu'] } as const;
  const session = await failingAs('RUNTIME_LOAD', () => ort.InferenceSession.create(path, options));
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

function toTensor(ort: Runtime, { data, dims }: Values, type: string): Tensor {
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
