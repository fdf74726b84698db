import { isBinaryOnly, type Tensor, type TensorMetadata } from '../tensor.js';
import { kindOf, refusal } from './refuse.js';
import { elementCount, named } from './shape.js';

/** Whole numbers that JSON carries as they are. */
const WHOLE = {
  INT8: { Elements: Int8Array, min: -(2 ** 7), max: 2 ** 7 - 1 },
  INT16: { Elements: Int16Array, min: -(2 ** 15), max: 2 ** 15 - 1 },
  INT32: { Elements: Int32Array, min: -(2 ** 31), max: 2 ** 31 - 1 },
  UINT8: { Elements: Uint8Array, min: 0, max: 2 ** 8 - 1 },
  UINT16: { Elements: Uint16Array, min: 0, max: 2 ** 16 - 1 },
  UINT32: { Elements: Uint32Array, min: 0, max: 2 ** 32 - 1 },
} as const;

/** 64 bits in JSON: JavaScript rounds what lies outside, without a word. */
const WIDE = {
  INT64: { Elements: BigInt64Array, min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER },
  UINT64: { Elements: BigUint64Array, min: 0, max: Number.MAX_SAFE_INTEGER },
} as const;

const FLOATS = { FP32: Float32Array, FP64: Float64Array } as const;

/**
 * The bytes of an input whose elements came as JSON, flat or nested in any way, in row-major order.
 * @throws IpgraftError `SERVER_REQUEST` for another number of elements than the shape has, elements that the datatype cannot hold exactly (floats
 *   are rounded), and types that have no JSON form
 */
export function encodeJsonData(input: TensorMetadata, data: unknown): Uint8Array {
  const { datatype } = input;
  if (isBinaryOnly(datatype))
    throw refusal(`${named('input', input)}: ${datatype} has no JSON form: send it as binary data`);
  const count = elementCount(input);
  const elements = flat(input, data, count);
  if (datatype === 'BYTES') return encodeStrings(elements.map((each) => text(input, each)));
  if (datatype === 'BOOL') return Uint8Array.from(elements, (each) => Number(truth(input, each)));
  if (datatype === 'FP32' || datatype === 'FP64')
    return bytesOf(new FLOATS[datatype](elements.map((each) => float(input, each))));
  if (datatype === 'INT64' || datatype === 'UINT64') {
    const { Elements, min, max } = WIDE[datatype];
    return bytesOf(new Elements(elements.map((each) => BigInt(whole(input, each, min, max)))));
  }
  const { Elements, min, max } = WHOLE[datatype];
  return bytesOf(new Elements(elements.map((each) => whole(input, each, min, max))));
}

/**
 * The elements of an output as the text of a flat JSON array, in row-major order; 64-bit integers with all their digits.
 * @throws IpgraftError `SERVER_REQUEST` where they have no JSON form: FP16, BF16, NaN, infinities, strings that are not UTF-8
 */
export function jsonData(output: Tensor): string {
  const { datatype, data } = output;
  const binaryOnly = (what: string) =>
    refusal(`${named('output', output)}: ${what} has no JSON form: ask for this output with binary_data`);
  if (isBinaryOnly(datatype)) throw binaryOnly(datatype);
  if (datatype === 'BYTES') {
    const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    try {
      return JSON.stringify(decodeStrings(data).map((each) => utf8.decode(each)));
    } catch {
      throw binaryOnly('a string that is not UTF-8');
    }
  }
  if (datatype === 'BOOL') return `[${Array.from(data, (each) => each !== 0).join()}]`;
  // A copy: what a typed array reads must lie at a multiple of its elements.
  const { buffer } = new Uint8Array(data);
  if (datatype === 'INT64' || datatype === 'UINT64') return `[${new WIDE[datatype].Elements(buffer).join()}]`;
  if (datatype === 'FP32' || datatype === 'FP64') {
    const numbers = new FLOATS[datatype](buffer);
    if (!numbers.every(Number.isFinite)) throw binaryOnly('NaN or an infinity');
    return `[${numbers.join()}]`;
  }
  return `[${new WHOLE[datatype].Elements(buffer).join()}]`;
}

/** Strings in the protocol's binary form: each behind its length in bytes, as uint32. */
export function encodeStrings(strings: readonly string[]): Uint8Array {
  return Buffer.concat(
    strings.flatMap((each) => {
      const bytes = Buffer.from(each, 'utf8');
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

function decodeStrings(data: Uint8Array): Uint8Array[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const strings: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const end = at + 4 + view.getUint32(at, true);
    strings.push(data.subarray(at + 4, end));
    at = end;
  }
  return strings;
}

function flat(input: TensorMetadata, data: unknown, count: number): unknown[] {
  if (!Array.isArray(data))
    throw refusal(`${named('input', input)}: sought an array as data, found ${kindOf(data)}`);
  const elements: unknown[] = data.some(Array.isArray) ? data.flat(Number.POSITIVE_INFINITY) : data;
  if (elements.length === count) return elements;
  throw refusal(`${named('input', input)}: sought ${count} elements, found ${elements.length}`);
}

function whole(input: TensorMetadata, element: unknown, min: number, max: number): number {
  if (typeof element === 'number' && Number.isInteger(element) && element >= min && element <= max)
    return element;
  const got = typeof element === 'number' ? element : kindOf(element);
  const advice = input.datatype.endsWith('64') ? '; larger numbers go as binary data' : '';
  throw refusal(
    `${named('input', input)}: sought whole numbers from ${min} to ${max}, found ${got}${advice}`,
  );
}

function float(input: TensorMetadata, element: unknown): number {
  const number = input.datatype === 'FP32' && typeof element === 'number' ? Math.fround(element) : element;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  const got = typeof element === 'number' ? `${element}, which is too large` : kindOf(element);
  throw refusal(`${named('input', input)}: sought numbers, found ${got}`);
}

function truth(input: TensorMetadata, element: unknown): boolean {
  if (typeof element === 'boolean') return element;
  throw refusal(`${named('input', input)}: sought true and false, found ${kindOf(element)}`);
}

function text(input: TensorMetadata, element: unknown): string {
  if (typeof element === 'string') return element;
  throw refusal(`${named('input', input)}: sought strings, found ${kindOf(element)}`);
}

function bytesOf({ buffer, byteOffset, byteLength }: NodeJS.TypedArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
