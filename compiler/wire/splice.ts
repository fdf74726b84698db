import { Writer } from 'protobufjs/minimal.js';
import { type Field, fields, WIRE } from './fields.js';
import { Rope } from './rope.js';

/** A length-delimited record: tag, length, content. */
export function record(number: number, content: Rope | Uint8Array): Rope {
  const body = content instanceof Uint8Array ? Rope.of(content) : content;
  const header = new Writer()
    .uint32((number << 3) | WIRE.BYTES)
    .uint64(body.length)
    .finish();
  return Rope.join([Rope.of(header), body]);
}

/** A length-delimited record that holds text. */
export function textRecord(number: number, value: string): Rope {
  return record(number, new TextEncoder().encode(value));
}

/** A varint record. */
export function integerRecord(number: number, value: number): Rope {
  return Rope.of(
    new Writer()
      .uint32((number << 3) | WIRE.VARINT)
      .int64(value)
      .finish(),
  );
}

/**
 * Copies a message with some records replaced: `change` answers `undefined` to keep a record's bytes,
 * or what stands in its place (`Rope.EMPTY` drops it). Untouched neighbours stay one range.
 */
export function splice(message: Rope, change: (field: Field, index: number) => Rope | undefined): Rope {
  const parts: Rope[] = [];
  let kept = 0;
  fields(message).forEach((field, index) => {
    const replacement = change(field, index);
    if (replacement === undefined) return;
    parts.push(message.slice(kept, field.start), replacement);
    kept = field.end;
  });
  parts.push(message.slice(kept, message.length));
  return Rope.join(parts);
}
