import type { Datatype, Tensor } from '../../runtime/serve/tensor.js';

type Numbers =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A tensor with the bits of an array. */
export function tensor(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  { buffer, byteOffset, byteLength }: Numbers,
): Tensor {
  return { name, datatype, shape, data: new Uint8Array(buffer, byteOffset, byteLength) };
}

/** float32 numbers of a tensor. */
export function floatsOf({ data }: Tensor): number[] {
  return [...new Float32Array(Uint8Array.from(data).buffer)];
}

/** What the counting model takes: rounds, and where it begins. */
export function rounds(n: bigint | number, x = 0): Tensor[] {
  return [
    tensor('n', 'INT64', [], BigInt64Array.of(BigInt(n))),
    tensor('x', 'FP32', [1], Float32Array.of(x)),
  ];
}
