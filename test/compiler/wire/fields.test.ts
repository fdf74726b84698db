import assert from 'node:assert/strict';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { content, fields, integer, integers, text, WIRE } from '../../../compiler/wire/fields.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { refusal } from '../../refusal.js';

const { Writer } = protobuf;

function rope(...bytes: readonly number[]): Rope {
  return Rope.of(Uint8Array.from(bytes));
}

function varints(...values: readonly number[]): Uint8Array {
  const writer = new Writer();
  for (const value of values) writer.int64(value);
  return writer.finish();
}

function varintField(value: number): Rope {
  return rope(0x08, ...varints(value));
}

/** As large as a varint may be and still be exact. */
const INTEGERS = [0, 1, 127, 128, 300, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER, -1, -(2 ** 40)];

describe('fields', () => {
  it('lists the records of every wire type with their places', () => {
    const message = rope(
      0x08,
      0x96,
      0x01,
      0x12,
      0x02,
      0x61,
      0x62,
      0x1d,
      1,
      2,
      3,
      4,
      0x21,
      1,
      2,
      3,
      4,
      5,
      6,
      7,
      8,
    );
    assert.deepEqual(fields(message), [
      { number: 1, wireType: WIRE.VARINT, start: 0, payload: 1, end: 3 },
      { number: 2, wireType: WIRE.BYTES, start: 3, payload: 5, end: 7 },
      { number: 3, wireType: WIRE.FIXED32, start: 7, payload: 8, end: 12 },
      { number: 4, wireType: WIRE.FIXED64, start: 12, payload: 13, end: 21 },
    ]);
  });

  it('of an empty message there are none', () => {
    assert.deepEqual(fields(Rope.EMPTY), []);
  });

  it('covers a message without gaps, however it is cut between records', () => {
    const record = fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.uint8Array({ maxLength: 300 }));
    fc.assert(
      fc.property(fc.array(record), fc.boolean(), (records, asOne) => {
        const parts = records.map(([number, bytes]) =>
          new Writer()
            .uint32((number << 3) | WIRE.BYTES)
            .bytes(bytes)
            .finish(),
        );
        const message = asOne ? Rope.of(Buffer.concat(parts)) : Rope.join(parts.map((part) => Rope.of(part)));
        const found = fields(message);
        assert.deepEqual(
          found.map(({ number, payload, end }) => [number, end - payload]),
          records.map(([number, bytes]) => [number, bytes.length]),
        );
        found.forEach(({ start }, i) => {
          assert.equal(start, found[i - 1]?.end ?? 0);
        });
      }),
    );
  });

  it('steps over content that is still in the file', () => {
    const source = bufferSource(new Uint8Array(0));
    const message = new Rope([
      { kind: 'loaded', length: 6, bytes: Uint8Array.of(0x0a, 0x80, 0x80, 0x80, 0x80, 0x20) },
      { kind: 'stored', length: 2 ** 33, source, offset: 6 },
      { kind: 'loaded', length: 2, bytes: Uint8Array.of(0x10, 0x07) },
    ]);
    assert.deepEqual(
      fields(message).map(({ number, end }) => [number, end]),
      [
        [1, 2 ** 33 + 6],
        [2, 2 ** 33 + 8],
      ],
    );
  });

  const huge = (...length: readonly number[]) => rope(0x0a, ...length);
  for (const [title, message, code] of [
    ['a record longer than the rest', rope(0x0a, 0x05, 1, 2), 'WIRE_TRUNCATED'],
    ['a tag that is cut off', rope(0x0a, 0x00, 0x82), 'WIRE_TRUNCATED'],
    ['a length that is cut off', rope(0x0a, 0x80), 'WIRE_TRUNCATED'],
    ['a missing length', rope(0x0a), 'WIRE_TRUNCATED'],
    ['a varint that is cut off', rope(0x08, 0x80, 0x80), 'WIRE_TRUNCATED'],
    ['a fixed32 that is cut off', rope(0x0d, 1, 2, 3), 'WIRE_TRUNCATED'],
    ['a fixed64 that is cut off', rope(0x09, 1, 2, 3, 4, 5, 6, 7), 'WIRE_TRUNCATED'],
    ['a length of 4 GiB', huge(0x80, 0x80, 0x80, 0x80, 0x10), 'WIRE_TRUNCATED'],
    ['a length of 1 PiB', huge(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02), 'WIRE_TRUNCATED'],
    ['a length past all safe numbers', huge(...new Array(9).fill(0xff), 0x01), 'WIRE_MALFORMED'],
    ['field number 0', rope(0x00, 0x00), 'WIRE_MALFORMED'],
    ['the start of a group', rope(0x0b), 'WIRE_MALFORMED'],
    ['the end of a group', rope(0x0c), 'WIRE_MALFORMED'],
    ['wire type 6', rope(0x0e, 0x00), 'WIRE_MALFORMED'],
    ['wire type 7', rope(0x0f, 0x00), 'WIRE_MALFORMED'],
    ['a length varint of eleven bytes', rope(0x0a, ...new Array(10).fill(0x80), 0x01), 'WIRE_MALFORMED'],
    [
      'a tag inside tensor data',
      new Rope([{ kind: 'stored', length: 5, source: bufferSource(new Uint8Array(5)), offset: 0 }]),
      'WIRE_MALFORMED',
    ],
  ] as const) {
    it(`refuses ${title} as ${code}`, () => {
      assert.throws(() => fields(message), refusal(code));
    });
  }
});

describe('integer', () => {
  for (const value of INTEGERS) {
    it(`reads ${value}`, () => {
      const message = varintField(value);
      assert.equal(integer(message, fields(message)[0]!), value);
    });
  }

  it('refuses a record of another wire type', () => {
    const message = rope(0x0a, 0x00);
    assert.throws(() => integer(message, fields(message)[0]!), refusal('WIRE_MALFORMED'));
  });

  it('refuses a varint of more than ten bytes', () => {
    const message = rope(0x08, ...new Array(11).fill(0x80), 0x01);
    assert.throws(() => integer(message, fields(message)[0]!), refusal('WIRE_MALFORMED'));
  });
});

describe('integers', () => {
  it('reads packed numbers', () => {
    const packed = varints(...INTEGERS);
    const message = Rope.of(new Writer().uint32(0x0a).bytes(packed).finish());
    assert.deepEqual(integers(message, fields(message)[0]!), INTEGERS);
  });

  it('reads a number that stands alone', () => {
    const message = varintField(-7);
    assert.deepEqual(integers(message, fields(message)[0]!), [-7]);
  });

  it('refuses packed numbers that are cut off', () => {
    const message = rope(0x0a, 0x03, 0x01, 0x80, 0x80);
    assert.throws(() => integers(message, fields(message)[0]!), refusal('WIRE_MALFORMED'));
  });
});

describe('text and content', () => {
  it('reads UTF-8 across pieces', () => {
    const bytes = new TextEncoder().encode('\x0a\x08naïve–');
    const message = Rope.join([Rope.of(bytes.subarray(0, 5)), Rope.of(bytes.subarray(5))]);
    assert.equal(
      text(message, { number: 1, wireType: 2, start: 0, payload: 2, end: bytes.length }),
      'naïve–',
    );
  });

  it('refuses content that is still in the file', () => {
    const message = new Rope([
      { kind: 'loaded', length: 2, bytes: Uint8Array.of(0x0a, 0x05) },
      { kind: 'stored', length: 5, source: bufferSource(new Uint8Array(7)), offset: 2 },
    ]);
    assert.throws(() => content(message, fields(message)[0]!), refusal('WIRE_MALFORMED'));
  });
});
