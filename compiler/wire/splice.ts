import { Writer } from 'protobufjs/minimal.js';
import { type Field, fields, WIRE } from './fields.js';
import { Rope } from './rope.js';

/** A length-delimited record: tag, length, content. */
export function record(number: number, content: Rope | Uint8Array): Rope {
  if (content instanceof Uint8Array) {
    const whole = recordHeader(number, content.length, content.length);
    whole.set(content, whole.length - content.length);
    return Rope.of(whole);
  }
  return Rope.join([Rope.of(recordHeader(number, content.length)), content]);
}

/** Tag and length, with `room` behind them for the content. */
function recordHeader(number: number, length: number, room = 0): Uint8Array {
  const varints: number[] = [];
  for (let value of [number * 8 + WIRE.BYTES, length]) {
    for (; value >= 0x80; value = Math.floor(value / 0x80)) varints.push((value % 0x80) | 0x80);
    varints.push(value);
  }
  const bytes = new Uint8Array(varints.length + room);
  bytes.set(varints);
  return bytes;
}

const ENCODER = new TextEncoder();

/** A length-delimited record that holds text. */
export function textRecord(number: number, value: string): Rope {
  return record(number, ENCODER.encode(value));
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
