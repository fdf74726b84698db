/** ONNX's TensorProto.DataType, for the types that a UNet's values and weights have. */
export const DATA_TYPE = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
} as const;

export type DataType = keyof typeof DATA_TYPE;

const NAMES = new Map<number, DataType>(
  Object.entries(DATA_TYPE).map(([name, id]) => [id, name as DataType]),
);

/** `1` → `float`; a type that is not in the table keeps its number. */
export function dataTypeName(id: number): string {
  return NAMES.get(id) ?? `type ${id}`;
}

/** The floating types in which a UNet's attention may run. */
export type FloatType = 'float' | 'float16' | 'bfloat16';

/** Whether a TensorProto.DataType is one of {@link FloatType}. */
export function isFloatType(id: number): boolean {
  return id === DATA_TYPE.float || id === DATA_TYPE.float16 || id === DATA_TYPE.bfloat16;
}

/** Bytes of one element. */
export const FLOAT_SIZE: Readonly<Record<FloatType, number>> = { float: 4, float16: 2, bfloat16: 2 };
