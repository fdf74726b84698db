import type { CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { decodeFloats, encodeFloats, floatTypeOf } from '../../compiler/checkpoint/number-format.js';
import { FLOAT_SIZE, type FloatType } from '../../compiler/onnx/data-type.js';
import type { ProducedSegment } from '../../compiler/wire/rope.js';
import { transposedBytes, transposedNumbers } from './transpose.js';

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
      const room = takeRoom(elements * FLOAT_SIZE[from]);
      const bytes = await tensor.read(room);
      if (from === type) yield* transposed ? transposedBytes(bytes, tensor.shape, type) : [bytes];
      else {
        const parts = transposed ? transposedNumbers(bytes, tensor.shape, from) : [decodeFloats(bytes, from)];
        for (const numbers of parts) yield encodeFloats(numbers, type);
      }
      spareRoom = room;
    },
  };
}

/** Where the weight before was read: the next one finds room there, instead of waiting for the garbage collector to make some. */
let spareRoom: Uint8Array = new Uint8Array();

function takeRoom(length: number): Uint8Array {
  const room = spareRoom.length >= length ? spareRoom : new Uint8Array(length);
  // Not for two at a time.
  spareRoom = new Uint8Array();
  return room;
}
