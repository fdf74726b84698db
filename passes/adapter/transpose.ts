import {
  aligned,
  decodeFloats,
  type HalfType,
  numbersOfHalves,
} from '../../compiler/checkpoint/number-format.js';
import { FLOAT_SIZE, type FloatType } from '../../compiler/onnx/data-type.js';

/** Columns that become rows together: few enough that what they touch stays in a processor's first cache. */
const STRIP = 32;

/** Which columns of a matrix: `width` of them, from `left` on. */
interface Strip {
  readonly rows: number;
  readonly columns: number;
  readonly left: number;
  readonly width: number;
}

/** Rows to columns: the bytes of a matrix [rows, columns] as those of its transpose. A strip holds until the next is asked for. */
export function* transposedBytes(
  bytes: Uint8Array,
  shape: readonly number[],
  type: FloatType,
): Iterable<Uint8Array> {
  const [rows, columns] = shape as [number, number];
  const size = FLOAT_SIZE[type];
  const transposed = new ArrayBuffer(STRIP * rows * size);
  const targetWords = new Uint32Array(transposed);
  const [source, target] =
    size === 4 ? [words(bytes), targetWords] : [halves(bytes), new Uint16Array(transposed)];
  const pairs = isPaired(type, rows, columns) ? words(bytes) : null;
  for (const strip of stripsOf(rows, columns)) {
    if (pairs === null) transposeStrip(source, target, strip);
    else transposePairs(pairs, targetWords, strip);
    yield new Uint8Array(transposed, 0, strip.width * rows * size);
  }
}

/** The same as numbers, which are told from their bits on the way. */
export function* transposedNumbers(
  bytes: Uint8Array,
  shape: readonly number[],
  type: FloatType,
): Iterable<Float32Array> {
  const [rows, columns] = shape as [number, number];
  if (!isPaired(type, rows, columns)) {
    for (const strip of transposedBytes(bytes, shape, type)) yield decodeFloats(strip, type);
    return;
  }
  const pairs = words(bytes);
  const numberOf = numbersOfHalves(type);
  const transposed = new Float32Array(STRIP * rows);
  for (const strip of stripsOf(rows, columns)) {
    transposeNumbers(pairs, transposed, numberOf, strip);
    yield transposed.subarray(0, strip.width * rows);
  }
}

/** Whether two numbers of two bytes can be taken at once, in both directions: half the loads. */
function isPaired(type: FloatType, rows: number, columns: number): type is HalfType {
  return FLOAT_SIZE[type] === 2 && rows % 2 === 0 && columns % 2 === 0;
}

function* stripsOf(rows: number, columns: number): Iterable<Strip> {
  for (let left = 0; left < columns; left += STRIP)
    yield { rows, columns, left, width: Math.min(STRIP, columns - left) };
}

function halves(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, length } = aligned(bytes);
  return new Uint16Array(buffer, byteOffset, length / 2);
}

function words(bytes: Uint8Array): Uint32Array {
  const { buffer, byteOffset, length } = aligned(bytes);
  return new Uint32Array(buffer, byteOffset, length / 4);
}

function transposeStrip<T extends Uint16Array | Uint32Array>(
  source: T,
  target: T,
  { rows, columns, left, width }: Strip,
): void {
  for (let row = 0; row < rows; row++) {
    let from = row * columns + left;
    for (let to = row; to < width * rows; to += rows) target[to] = source[from++]!;
  }
}

/** Two rows and two columns at a time. */
function transposePairs(
  source: Uint32Array,
  target: Uint32Array,
  { rows, columns, left, width }: Strip,
): void {
  const [height, across] = [rows / 2, columns / 2];
  for (let row = 0; row < height; row++) {
    let upper = 2 * row * across + left / 2;
    let lower = upper + across;
    for (let to = row; to < width * height; to += rows) {
      const a = source[upper++]!;
      const b = source[lower++]!;
      target[to] = (a & 0xffff) | (b << 16);
      target[to + height] = (a >>> 16) | (b & 0xffff0000);
    }
  }
}

function transposeNumbers(
  source: Uint32Array,
  target: Float32Array,
  numberOf: Float32Array,
  { rows, columns, left, width }: Strip,
): void {
  const across = columns / 2;
  for (let row = 0; row < rows; row += 2) {
    let upper = row * across + left / 2;
    let lower = upper + across;
    for (let to = row; to < width * rows; to += 2 * rows) {
      const a = source[upper++]!;
      const b = source[lower++]!;
      target[to] = numberOf[a & 0xffff]!;
      target[to + 1] = numberOf[b & 0xffff]!;
      target[to + rows] = numberOf[a >>> 16]!;
      target[to + rows + 1] = numberOf[b >>> 16]!;
    }
  }
}
