import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeFloats, encodeFloats } from '../../compiler/checkpoint/number-format.js';
import { transposedBytes, transposedNumbers } from '../../passes/adapter/transpose.js';

const TYPES = ['float', 'float16', 'bfloat16'] as const;

/** Any numbers: that of row r and column c is told from all others nearby. */
const numbered = (rows: number, columns: number) =>
  Float32Array.from({ length: rows * columns }, (_, i) => ((i * 7919) % 251) - 125);

function joined<T extends Uint8Array | Float32Array>(strips: Iterable<T>): number[] {
  const numbers: number[] = [];
  // One after the other: a strip holds until the next is asked for.
  for (const strip of strips) numbers.push(...strip);
  return numbers;
}

describe('transposing a weight', () => {
  for (const type of TYPES) {
    it(`${type}: every number of any matrix is where row and column say, as bytes and as numbers`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 140 }), (rows, columns) => {
          const values = numbered(rows, columns);
          const expected = Array.from({ length: columns * rows }, (_, i) => {
            const [column, row] = [Math.floor(i / rows), i % rows];
            return values[row * columns + column]!;
          });
          const bytes = encodeFloats(values, type);
          assert.deepEqual(joined(transposedNumbers(bytes, [rows, columns], type)), expected);
          const transposed = Uint8Array.from(joined(transposedBytes(bytes, [rows, columns], type)));
          assert.deepEqual([...decodeFloats(transposed, type)], expected);
        }),
      );
    });
  }

  it('bytes that begin anywhere in memory', () => {
    const bytes = encodeFloats(numbered(6, 4), 'float16');
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    const at = shifted.subarray(1);
    assert.deepEqual(
      joined(transposedNumbers(at, [6, 4], 'float16')),
      joined(transposedNumbers(bytes, [6, 4], 'float16')),
    );
  });
});
