import type { CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { decodeFloats, encodeFloats, floatTypeOf } from '../../compiler/checkpoint/number-format.js';
import { FLOAT_SIZE, type FloatType } from '../../compiler/onnx/data-type.js';
import type { ProducedSegment } from '../../compiler/wire/rope.js';

/**
 * A checkpoint's tensor as an initializer's data in `type`, made when it is written. PyTorch keeps a Linear as
 * [out, in]; ONNX's MatMul reads [in, out]: `transposed` swaps the two dimensions.
 */
export function weightData(tensor: CheckpointTensor, type: FloatType, transposed: boolean): ProducedSegment {
  const from = floatTypeOf(tensor.dtype, tensor.name);
  const elements = tensor.shape.reduce((product, size) => product * size, 1);
  return {
    kind: 'produced',
    length: elements * FLOAT_SIZE[type],
    async *produce() {
      const bytes = await tensor.read();
      if (from === type) yield transposed ? transpose(bytes, tensor.shape, FLOAT_SIZE[type]) : bytes;
      else {
        const converted = encodeFloats(decodeFloats(bytes, from), type);
        yield transposed ? transpose(converted, tensor.shape, FLOAT_SIZE[type]) : converted;
      }
    },
  };
}

/** Rows to columns, in tiles that stay in the processor's cache. */
function transpose(bytes: Uint8Array, shape: readonly number[], size: number): Uint8Array {
  const [rows, columns] = shape as [number, number];
  const source = size === 4 ? words(bytes) : halfWords(bytes);
  const target = size === 4 ? new Uint32Array(source.length) : new Uint16Array(source.length);
  const tile = 32;
  for (let top = 0; top < rows; top += tile) {
    const bottom = Math.min(top + tile, rows);
    for (let left = 0; left < columns; left += tile) {
      const right = Math.min(left + tile, columns);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++)
          target[column * rows + row] = source[row * columns + column]!;
      }
    }
  }
  return new Uint8Array(target.buffer);
}

function words(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}

function halfWords(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}
