/** Open Inference Protocol's names of element types, with the bytes of one element; `BYTES` elements bring their own length. */
export const DATATYPE_SIZE = {
  BOOL: 1,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: null,
} as const;

export type Datatype = keyof typeof DATATYPE_SIZE;

/** Types that the protocol sends in binary form alone. */
export function isBinaryOnly(datatype: Datatype): datatype is 'FP16' | 'BF16' {
  return datatype === 'FP16' || datatype === 'BF16';
}

/** A tensor as the protocol's binary form has it: row-major, little-endian; each element of `BYTES` behind its length as uint32. */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** An input or an output of a model; −1 is a free dimension. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** The model's names of its free dimensions, by their place in `shape`; `null` for others. */
  readonly symbols?: readonly (string | null)[];
}
