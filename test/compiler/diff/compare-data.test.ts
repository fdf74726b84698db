import assert from 'node:assert/strict';
import fc from 'fast-check';
import { firstDifference } from '../../../compiler/diff/compare-data.js';
import { outOfOrder } from '../../../compiler/diff/positions.js';
import { type ByteSource, bufferSource } from '../../../compiler/io/byte-source.js';
import { Rope, type Segment } from '../../../compiler/wire/rope.js';

/** Bytes as a rope, cut where `cuts` says, every other piece still in a source. */
function cutRope(bytes: Uint8Array, cuts: readonly number[]): Rope {
  const source = bufferSource(bytes);
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  let start = 0;
  const segments = ends.flatMap((end, i): Segment[] => {
    const [offset, length] = [start, end - start];
    start = end;
    if (length === 0) return [];
    return i % 2 === 0
      ? [{ kind: 'loaded', length, bytes: bytes.subarray(offset, end) }]
      : [{ kind: 'stored', length, source, offset }];
  });
  return new Rope(segments);
}

const cuts = fc.array(fc.nat(5000), { maxLength: 5 });

describe('data is compared', () => {
  it('as far as the first difference, however it is cut', () =>
    fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 4096 }),
        cuts,
        cuts,
        fc.nat(),
        async (bytes, a, b, at) => {
          const changed = bytes.slice();
          changed[at % bytes.length]! ^= 0x40;
          assert.equal(await firstDifference(cutRope(bytes, a), cutRope(changed, b)), at % bytes.length);
          assert.equal(await firstDifference(cutRope(bytes, a), cutRope(bytes.slice(), b)), null);
          const longer = cutRope(new Uint8Array([...bytes, 0]), b);
          assert.equal(await firstDifference(cutRope(bytes, a), longer), bytes.length);
        },
      ),
    ));

  it('and not read at all where it is one place of one file', async () => {
    const source: ByteSource = {
      ...bufferSource(new Uint8Array(8)),
      identity: 'one',
      read: () => Promise.reject(new Error('was read')),
    };
    const rope = (offset: number) => new Rope([{ kind: 'stored', length: 4, source: { ...source }, offset }]);
    assert.equal(await firstDifference(rope(2), rope(2)), null);
    await assert.rejects(firstDifference(rope(2), rope(3)), /was read/);
  });
});

describe('out of order', () => {
  it('is the least that leaves an ascending rest', () =>
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(60), { maxLength: 24 }), (positions) => {
        const moved = outOfOrder(positions);
        const rest = positions.filter((_, i) => !moved.has(i));
        assert.deepEqual(
          rest,
          [...rest].sort((a, b) => a - b),
        );
        const longest: number[] = [];
        positions.forEach((position, i) => {
          longest[i] = 1 + Math.max(0, ...longest.filter((_, j) => positions[j]! < position));
        });
        assert.equal(rest.length, Math.max(0, ...longest));
      }),
    ));
});
