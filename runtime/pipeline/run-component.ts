import { decodeFloats, encodeFloats } from '../../compiler/checkpoint/number-format.js';
import { IpgraftError } from '../../compiler/errors.js';
import type { Datatype, Tensor, TensorMetadata } from '../serve/tensor.js';
import type { Values } from '../session/session.js';
import type { ComponentModel, RunOptions } from './component-model.js';

/** Numbers for the inputs of a model, by name. */
export type Feeds = Readonly<Record<string, Values>>;

/**
 * Runs a component on plain numbers: each input gets the type and the rank that the model declares (a timestep of one number goes to [], [1]
 * and [rows] alike), and outputs come back as float32.
 * @throws IpgraftError `PIPELINE_COMPONENT` for an input that the model does not have, or one of a type that holds no numbers; and as
 *   {@link ComponentModel.infer}
 */
export async function runComponent(
  component: ComponentModel,
  feeds: Feeds,
  options: RunOptions = {},
): Promise<ReadonlyMap<string, Values>> {
  options.signal?.throwIfAborted();
  const inputs = Object.entries(feeds).map(([name, values]) => toTensor(inputOf(component, name), values));
  const { outputs } = await component.infer(inputs, options);
  options.signal?.throwIfAborted();
  return new Map(outputs.map((output) => [output.name, fromTensor(output)]));
}

/** One row after the other: [n, …] values of [1, …] ones. All must have the same shape behind the first axis. */
export function stackRows(rows: readonly Values[]): Values {
  const [first] = rows;
  const dims = [rows.reduce((sum, row) => sum + row.dims[0]!, 0), ...first!.dims.slice(1)];
  const data = new Float32Array(dims.reduce((product, size) => product * size, 1));
  let filled = 0;
  for (const row of rows) {
    data.set(row.data, filled);
    filled += row.data.length;
  }
  return { dims, data };
}

/** Rows `begin` to `end` of values, a view. */
export function rowsOf({ dims, data }: Values, begin: number, end: number): Values {
  const size = data.length / dims[0]!;
  return { dims: [end - begin, ...dims.slice(1)], data: data.subarray(begin * size, end * size) };
}

function inputOf({ inputs }: ComponentModel, name: string): TensorMetadata {
  const input = inputs.find((each) => each.name === name);
  if (input !== undefined) return input;
  const names = inputs.map((each) => each.name);
  throw new IpgraftError('PIPELINE_COMPONENT', `sought an input “${name}”, found ${names.join(', ')}`, {
    sought: name,
    found: names,
  });
}

function toTensor({ name, datatype, shape }: TensorMetadata, { dims, data }: Values): Tensor {
  // Only what is one number may have another rank: a timestep.
  const isScalar = data.length === 1 && shape.length !== dims.length;
  return {
    name,
    datatype,
    shape: isScalar ? shape.map(() => 1) : dims,
    data: encode(name, datatype, data),
  };
}

function encode(name: string, datatype: Datatype, data: Float32Array): Uint8Array {
  switch (datatype) {
    case 'FP32':
      return bytesOf(data);
    case 'FP16':
      return encodeFloats(data, 'float16');
    case 'FP64':
      return bytesOf(Float64Array.from(data));
    case 'INT64':
      return bytesOf(BigInt64Array.from(data, (value) => BigInt(Math.round(value))));
    case 'INT32':
      return bytesOf(Int32Array.from(data, Math.round));
    case 'BOOL':
      return Uint8Array.from(data, (value) => (value === 0 ? 0 : 1));
    default:
      throw new IpgraftError('PIPELINE_COMPONENT', `input “${name}”: sought numbers, found ${datatype}`, {
        input: name,
        found: datatype,
      });
  }
}

function fromTensor({ name, datatype, shape, data }: Tensor): Values {
  const { buffer, byteOffset, byteLength } = data;
  switch (datatype) {
    case 'FP32':
      return { dims: shape, data: decodeFloats(data, 'float') };
    case 'FP16':
      return { dims: shape, data: decodeFloats(data, 'float16') };
    case 'FP64':
      return { dims: shape, data: Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8)) };
    case 'INT64':
      return {
        dims: shape,
        data: Float32Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number),
      };
    case 'INT32':
      return { dims: shape, data: Float32Array.from(new Int32Array(buffer, byteOffset, byteLength / 4)) };
    default:
      throw new IpgraftError('PIPELINE_COMPONENT', `output “${name}”: sought numbers, found ${datatype}`, {
        output: name,
        found: datatype,
      });
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
