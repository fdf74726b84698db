import { encodeFloats } from '../compiler/checkpoint/number-format.js';
import type { NewTensor } from '../compiler/onnx/create.js';
import type { FloatType } from '../compiler/onnx/data-type.js';

/** A small tensor of numbers in a floating type. */
export function floatTensor(
  name: string,
  dataType: FloatType,
  dims: readonly number[],
  values: readonly number[],
): NewTensor {
  const bytes = encodeFloats(Float32Array.from(values), dataType);
  return { name, dataType, dims, data: { kind: 'loaded', length: bytes.length, bytes } };
}
