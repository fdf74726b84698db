import assert from 'node:assert/strict';
import fc from 'fast-check';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { Rope, type Segment, sameBytes } from '../../../compiler/wire/rope.js';

const source = bufferSource(new Uint8Array(1000), 'file');
const chunks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 });

function stored(offset: number, length: number): Rope {
  return new Rope([{ kind: 'stored', length, source, offset }]);
}

function joined(parts: readonly Uint8Array[]): Rope {
  return Rope.join(parts.map((bytes) => Rope.of(bytes)));
}

function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

describe('Rope', () => {
  it('joined pieces are their concatenation', () => {
    fc.assert(
      fc.property(chunks, (parts) => {
        assert.deepEqual(Buffer.from(joined(parts).bytes!), Buffer.concat(parts));
      }),
    );
  });

  it('a slice is the slice of the concatenation', () => {
    fc.assert(
      fc.property(chunks, fc.nat(200), fc.nat(200), (parts, from, to) => {
        const whole = Buffer.concat(parts);
        const sliced = joined(parts).slice(from, to);
        assert.deepEqual(Buffer.from(sliced.bytes!), Buffer.from(whole.subarray(from, Math.max(from, to))));
      }),
    );
  });

  it('join drops empty pieces', () => {
    assert.equal(Rope.join([Rope.EMPTY, Rope.of(new Uint8Array(0)), stored(3, 0)]).segments.length, 0);
  });

  it('the empty rope has no bytes but knows them', () => {
    assert.equal(Rope.EMPTY.length, 0);
    assert.deepEqual(Rope.EMPTY.bytes, new Uint8Array(0));
    assert.equal(Rope.EMPTY.segmentAt(0), undefined);
  });

  it('has no bytes in memory while one piece lies in a file', () => {
    const rope = Rope.join([Rope.of(Uint8Array.of(1)), stored(0, 5), Rope.of(Uint8Array.of(2))]);
    assert.equal(rope.bytes, undefined);
    assert.equal(rope.length, 7);
  });

  it('a slice of a stored piece names the same place of the file', () => {
    assert.deepEqual(stored(100, 50).slice(10, 30).segments, [
      { kind: 'stored', length: 20, source, offset: 110 },
    ]);
  });

  it('a slice of bytes that were read still knows where they were', () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const rope = new Rope([{ kind: 'loaded', length: 4, bytes, source, offset: 40 }]);
    const [segment] = rope.slice(1, 3).segments;
    assert.deepEqual(segment, {
      kind: 'loaded',
      length: 2,
      bytes: Uint8Array.of(2, 3),
      source,
      offset: 41,
    });
  });

  it('slicing and joining copy no bytes', () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const [segment] = Rope.join([Rope.of(bytes)]).slice(1, 4).segments;
    assert.ok(segment?.kind === 'loaded' && segment.bytes.buffer === bytes.buffer);
  });

  it('a produced piece travels whole and cannot be cut', () => {
    const produced: Segment = { kind: 'produced', length: 4, async *produce() {} };
    const rope = Rope.join([Rope.of(Uint8Array.of(9)), new Rope([produced])]);
    assert.equal(rope.slice(1, 5).segments[0], produced);
    assert.throws(() => rope.slice(2, 5), /produced segment/);
  });

  it('segmentAt names the piece in which a position lies', () => {
    const rope = Rope.join([Rope.of(new Uint8Array(3)), stored(0, 4), Rope.of(new Uint8Array(2))]);
    const starts = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((position) => rope.segmentAt(position)?.start);
    assert.deepEqual(starts, [0, 0, 0, 3, 3, 3, 3, 7, 7]);
  });
});

describe('sameBytes', () => {
  it('sees through how ropes are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(fc.nat()), fc.array(fc.nat()), (bytes, a, b) => {
        assert.ok(sameBytes(joined(cutAt(bytes, a)), joined(cutAt(bytes, b))));
      }),
    );
  });

  it('sees one changed byte', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        fc.nat(),
        fc.array(fc.nat()),
        (bytes, at, cuts) => {
          const changed = bytes.slice();
          changed[at % bytes.length]! ^= 1;
          assert.ok(!sameBytes(Rope.of(bytes), joined(cutAt(changed, cuts))));
        },
      ),
    );
  });

  const other = bufferSource(new Uint8Array(1000), 'another file');
  for (const [title, a, b, same] of [
    ['one place of one file is equal', stored(10, 20), stored(10, 20), true],
    [
      'two halves of one place are the place',
      stored(10, 20),
      Rope.join([stored(10, 5), stored(15, 15)]),
      true,
    ],
    ['two places of one file are not', stored(10, 20), stored(11, 20), false],
    [
      'one place of two files is not',
      stored(10, 20),
      new Rope([{ kind: 'stored', length: 20, source: other, offset: 10 }]),
      false,
    ],
    ['another length is not', stored(10, 20), stored(10, 21), false],
    [
      'what is in a file and what is in memory are not compared',
      stored(0, 4),
      Rope.of(new Uint8Array(4)),
      false,
    ],
  ] as const) {
    it(title, () => {
      assert.equal(sameBytes(a, b), same);
    });
  }
});
