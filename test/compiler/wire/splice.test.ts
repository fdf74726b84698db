import assert from 'node:assert/strict';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { content, fields, integer, text } from '../../../compiler/wire/fields.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { integerRecord, record, splice, textRecord } from '../../../compiler/wire/splice.js';

const messages = fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.uint8Array({ maxLength: 200 })), {
  minLength: 1,
  maxLength: 12,
});

function encode(records: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const writer = new protobuf.Writer();
  for (const [number, bytes] of records) writer.uint32((number << 3) | 2).bytes(bytes);
  return writer.finish();
}

describe('record', () => {
  for (const length of [0, 1, 127, 128, 16383, 16384, 2 ** 21]) {
    it(`of ${length} bytes reads back`, () => {
      const message = record(9, new Uint8Array(length).fill(7));
      const [field, ...rest] = fields(message);
      assert.deepEqual([field!.number, field!.end - field!.payload, rest.length], [9, length, 0]);
      assert.ok(content(message, field!).every((byte) => byte === 7));
    });
  }

  it('of 5 GiB costs nothing', () => {
    const body = new Rope([
      { kind: 'stored', length: 5 * 2 ** 30, source: bufferSource(new Uint8Array(0)), offset: 0 },
    ]);
    const [field] = fields(record(9, body));
    assert.equal(field!.end - field!.payload, 5 * 2 ** 30);
  });

  it('of text reads back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 10_000 }), (value, number) => {
        const message = textRecord(number, value);
        assert.equal(text(message, fields(message)[0]!), value);
      }),
    );
  });

  it('of an integer reads back', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const message = integerRecord(1, value);
        assert.equal(integer(message, fields(message)[0]!), value);
      }),
    );
  });
});

describe('splice', () => {
  it('that changes nothing is one range of the same bytes', () => {
    fc.assert(
      fc.property(messages, (records) => {
        const bytes = encode(records);
        const spliced = splice(Rope.of(bytes), () => undefined);
        assert.equal(spliced.segments.length, 1);
        assert.deepEqual(spliced.bytes, bytes);
      }),
    );
  });

  it('replaces one record and keeps all others', () => {
    fc.assert(
      fc.property(messages, fc.nat(), fc.uint8Array(), (records, pick, body) => {
        const index = pick % records.length;
        const spliced = splice(Rope.of(encode(records)), (field, i) =>
          i === index ? record(field.number, body) : undefined,
        );
        assert.deepEqual(spliced.bytes, encode(records.with(index, [records[index]![0], body])));
      }),
    );
  });

  it('drops the records for which it is given nothing', () => {
    fc.assert(
      fc.property(messages, (records) => {
        const spliced = splice(Rope.of(encode(records)), (_, i) => (i % 2 === 0 ? Rope.EMPTY : undefined));
        assert.deepEqual(
          Buffer.from(spliced.bytes!),
          Buffer.from(encode(records.filter((_, i) => i % 2 === 1))),
        );
      }),
    );
  });
});
