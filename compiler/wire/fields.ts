import { IpgraftError } from '../errors.js';
import { Cursor } from './cursor.js';
import type { Rope } from './rope.js';

/** Protobuf wire types that ONNX files use. */
export const WIRE = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

/** Protobuf's largest field number. */
const LARGEST_NUMBER = 2 ** 29 - 1;

/** One record of a message, as positions in the message: its tag starts at `start`, its content runs from `payload` to `end`. */
export interface Field {
  readonly number: number;
  readonly wireType: number;
  readonly start: number;
  readonly payload: number;
  readonly end: number;
}

/**
 * The records of a message in file order. Reads tags and lengths only: content may still lie in the file.
 * @throws IpgraftError `WIRE_TRUNCATED`, `WIRE_MALFORMED`
 */
export function fields(message: Rope): Field[] {
  const found: Field[] = [];
  let position = 0;
  while (position < message.length) {
    const { segment, start } = message.segmentAt(position)!;
    if (segment.kind !== 'loaded') throw malformed(position, 'a tag', 'tensor data');
    const cursor = new Cursor(segment.bytes, position - start);
    while (!cursor.atEnd) {
      const field = readHeader(cursor, start);
      if (field.end > message.length) throw truncated(field.start, field.end - field.payload, message.length);
      found.push(field);
      position = field.end;
      cursor.position = position - start;
    }
  }
  return found;
}

/**
 * Whether the message in `within` has a field of one of these numbers, told without a rope of its own: for what is asked of thousands.
 * `true` also where somebody must look closer: it is not in memory, or broken.
 */
export function mayHaveField(message: Rope, within: Field, numbers: readonly number[]): boolean {
  const { segment, start } = message.segmentAt(within.payload) ?? NOWHERE;
  const end = within.end - start;
  if (segment?.kind !== 'loaded' || end > segment.length) return true;
  const cursor = new Cursor(segment.bytes, within.payload - start);
  while (cursor.position < end) {
    const field = readHeader(cursor, 0);
    if (field.end > end || numbers.includes(field.number)) return true;
    cursor.position = field.end;
  }
  return false;
}

/** Reads a tag and, for bytes, their length; leaves the cursor behind them. `base` is added to all positions. */
export function readHeader(cursor: Cursor, base: number): Field {
  const start = base + cursor.position;
  try {
    const tag = cursor.varint();
    const number = Math.floor(tag / 8);
    const wireType = tag & 7;
    if (number === 0 || number > LARGEST_NUMBER) throw malformed(start, 'a field number', `${number}`);
    let payload = base + cursor.position;
    let length: number;
    if (wireType === WIRE.BYTES) {
      length = cursor.varint();
      payload = base + cursor.position;
    } else if (wireType === WIRE.VARINT) {
      cursor.varint();
      length = base + cursor.position - payload;
    } else if (wireType === WIRE.FIXED64) length = 8;
    else if (wireType === WIRE.FIXED32) length = 4;
    else throw malformed(start, 'wire type 0, 1, 2 or 5', `${wireType}`);
    if (!Number.isSafeInteger(length)) throw malformed(start, 'a record length', `${length}`);
    return { number, wireType, start, payload, end: payload + length };
  } catch (error) {
    if (error instanceof RangeError) throw truncated(start, 1, base + cursor.bytes.length);
    if (error instanceof SyntaxError) throw malformed(start, 'a varint', error.message);
    throw error;
  }
}

/** A field's content as text. */
export function text(message: Rope, field: Field): string {
  return DECODER.decode(content(message, field));
}

const DECODER = new TextDecoder();

const NOWHERE = { segment: undefined, start: 0 };

/** A field's content in memory. @throws IpgraftError `WIRE_MALFORMED` when it is too large to be what it should be. */
export function content(message: Rope, field: Field): Uint8Array {
  const { segment, start } = message.segmentAt(field.payload) ?? NOWHERE;
  if (segment?.kind === 'loaded' && field.end - start <= segment.length)
    return segment.bytes.subarray(field.payload - start, field.end - start);
  const bytes = message.slice(field.payload, field.end).bytes;
  if (bytes === undefined)
    throw malformed(field.start, 'a short field', `${field.end - field.payload} bytes`);
  return bytes;
}

/** A field's content as a signed number, exact up to 2^53. */
export function integer(message: Rope, field: Field): number {
  if (field.wireType !== WIRE.VARINT) throw malformed(field.start, 'a varint', `wire type ${field.wireType}`);
  return read(field, 'a varint', () => new Cursor(content(message, field)).signedVarint());
}

/** Repeated integers, packed or one by one, as both are legal. */
export function integers(message: Rope, field: Field): number[] {
  if (field.wireType === WIRE.VARINT) return [integer(message, field)];
  return read(field, 'packed varints', () => {
    const cursor = new Cursor(content(message, field));
    const values: number[] = [];
    while (!cursor.atEnd) values.push(cursor.signedVarint());
    return values;
  });
}

/** Reads what a field should hold, and says so in our words when it does not. @throws IpgraftError `WIRE_MALFORMED` */
export function read<T>(field: Field, sought: string, reading: () => T): T {
  try {
    return reading();
  } catch (error) {
    throw error instanceof IpgraftError ? error : malformed(field.start, sought, (error as Error).message);
  }
}

function truncated(start: number, length: number, size: number): IpgraftError {
  return new IpgraftError(
    'WIRE_TRUNCATED',
    `a record at byte ${start} needs ${length} bytes, the message ends at ${size}`,
    {
      offset: start,
      length,
      size,
    },
  );
}

function malformed(start: number, sought: string, found: string): IpgraftError {
  return new IpgraftError('WIRE_MALFORMED', `at byte ${start}: sought ${sought}, found ${found}`, {
    offset: start,
    sought,
    found,
  });
}
