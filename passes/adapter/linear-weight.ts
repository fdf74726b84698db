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
      const bytesRoom = takeRoom(elements * FLOAT_SIZE[from]);
      const bytes = await tensor.read(bytesRoom);
      const parts = transposed ? transposedStrips(bytes, tensor.shape, FLOAT_SIZE[from]) : [bytes];
      let numbersRoom: Float32Array | undefined;
      for (const part of parts) {
        if (from === type) yield part;
        else {
          const numbers = decodeFloats(part, from, numbersRoom);
          numbersRoom ??= numbers;
          yield encodeFloats(numbers, type);
        }
      }
      spareRoom = bytesRoom;
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

/** Columns that become rows together: few enough that what they touch stays in a processor's first cache. */
const STRIP = 32;

/** Rows to columns, a strip of columns at a time. */
function* transposedStrips(bytes: Uint8Array, shape: readonly number[], size: number): Iterable<Uint8Array> {
  const [rows, columns] = shape as [number, number];
  // A typed array must begin at a multiple of its element size.
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  const strip = new ArrayBuffer(STRIP * rows * size);
  const [source, target] =
    size === 4
      ? [new Uint32Array(buffer, byteOffset, rows * columns), new Uint32Array(strip)]
      : [new Uint16Array(buffer, byteOffset, rows * columns), new Uint16Array(strip)];
  const inPairs = size === 2 && rows % 2 === 0 && columns % 2 === 0;
  const pairs = inPairs ? new Uint32Array(buffer, byteOffset, (rows * columns) / 2) : null;
  const targetPairs = new Uint32Array(strip);
  for (let left = 0; left < columns; left += STRIP) {
    const width = Math.min(STRIP, columns - left);
    if (pairs === null) transposeStrip(source, target, { rows, columns, left, width });
    else
      transposePairs(pairs, targetPairs, {
        rows: rows / 2,
        columns: columns / 2,
        left: left / 2,
        width: width / 2,
      });
    yield new Uint8Array(strip, 0, width * rows * size);
  }
}

type Words = Uint16Array | Uint32Array;

/** Which columns of a matrix: `width` of them, from `left` on. */
interface Strip {
  readonly rows: number;
  readonly columns: number;
  readonly left: number;
  readonly width: number;
}

function transposeStrip(source: Words, strip: Words, { rows, columns, left, width }: Strip): void {
  for (let row = 0; row < rows; row++) {
    let from = row * columns + left;
    for (let to = row; to < width * rows; to += rows) strip[to] = source[from++]!;
  }
}

/** The same for numbers of two bytes, two by two: half the loads and stores. Counts and places are of pairs. */
function transposePairs(
  source: Uint32Array,
  strip: Uint32Array,
  { rows, columns, left, width }: Strip,
): void {
  for (let row = 0; row < rows; row++) {
    let upper = 2 * row * columns + left;
    let lower = upper + columns;
    for (let to = row; to < 2 * width * rows; to += 2 * rows) {
      const a = source[upper++]!;
      const b = source[lower++]!;
      strip[to] = (a & 0xffff) | (b << 16);
      strip[to + rows] = (a >>> 16) | (b & 0xffff0000);
    }
  }
}
