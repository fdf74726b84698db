import { getFloat16, setFloat16 } from '@petamoriken/float16';
import ort from 'onnxruntime-node';
import type { Reference, Values } from './numbers.js';

/** A model loaded in onnxruntime-node, fed with plain numbers: they are converted to what each input wants. */
export interface Session {
  readonly inputs: readonly string[];
  run(feeds: Readonly<Record<string, Values>>): Promise<Map<string, Values>>;
  release(): Promise<void>;
}

export async function load(path: string): Promise<Session> {
  const session = await ort.InferenceSession.create(path, {
    logSeverityLevel: 3,
    executionProviders: ['cpu'],
  });
  const types = new Map(session.inputMetadata.map((input) => [input.name, input.isTensor ? input.type : '']));
  return {
    inputs: session.inputNames,
    async run(feeds) {
      const tensors = Object.fromEntries(
        Object.entries(feeds).map(([name, values]) => [name, toTensor(values, types.get(name) ?? 'float32')]),
      );
      const results = await session.run(tensors);
      return new Map(Object.entries(results).map(([name, tensor]) => [name, fromTensor(tensor)]));
    },
    release: () => session.release(),
  };
}

/** The base inputs of a UNet, as the reference has them. */
export function unetInputs(reference: Reference): Record<string, Values> {
  const names = ['sample', 'timestep', 'encoder_hidden_states', 'text_embeds', 'time_ids'];
  return Object.fromEntries(
    names.filter((name) => reference.has(name)).map((name) => [name, reference.get(name)]),
  );
}

function toTensor({ data, dims }: Values, type: string): ort.Tensor {
  if (type === 'int64')
    return new ort.Tensor(
      'int64',
      BigInt64Array.from(data, (value) => BigInt(value)),
      dims,
    );
  if (type !== 'float16') return new ort.Tensor('float32', data, dims);
  const bits = new Uint16Array(data.length);
  const view = new DataView(bits.buffer);
  data.forEach((value, i) => {
    setFloat16(view, i * 2, value, true);
  });
  return new ort.Tensor('float16', bits, dims);
}

function fromTensor(tensor: ort.Tensor): Values {
  if (tensor.type !== 'float16')
    return { dims: tensor.dims, data: Float32Array.from(tensor.data as Float32Array) };
  const bits = tensor.data as unknown as Uint16Array;
  const view = new DataView(bits.buffer, bits.byteOffset, bits.byteLength);
  return { dims: tensor.dims, data: Float32Array.from(bits, (_, i) => getFloat16(view, i * 2, true)) };
}
