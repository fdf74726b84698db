import protobuf from 'protobufjs/minimal.js';
import { IpgraftError } from '../../../compiler/errors.js';
import { refusal } from '../protocol/refuse.js';
import { elementCount, named } from '../protocol/shape.js';
import { DATATYPE_SIZE, type Datatype, isBinaryOnly, type TensorMetadata } from '../tensor.js';

/** The fields of an InferTensorContents, by their numbers. */
const FIELDS = [
  '',
  'bool_contents',
  'int_contents',
  'int64_contents',
  'uint_contents',
  'uint64_contents',
  'fp32_contents',
  'fp64_contents',
  'bytes_contents',
];

type Typed = Exclude<Datatype, 'FP16' | 'BF16'>;

/** The field that holds the elements of a datatype. */
const FIELD_OF: Readonly<Record<Typed, number>> = {
  BOOL: 1,
  INT8: 2,
  INT16: 2,
  INT32: 2,
  INT64: 3,
  UINT8: 4,
  UINT16: 4,
  UINT32: 4,
  UINT64: 5,
  FP32: 6,
  FP64: 7,
  BYTES: 8,
};

/** Whole numbers, which protobuf writes in as many bytes as they need. */
const WHOLE: Partial<Record<Typed, readonly [min: number, max: number]>> = {
  INT8: [-(2 ** 7), 2 ** 7 - 1],
  INT16: [-(2 ** 15), 2 ** 15 - 1],
  UINT8: [0, 2 ** 8 - 1],
  UINT16: [0, 2 ** 16 - 1],
};

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/**
 * The bytes of an input whose elements came in a typed field, in row-major order.
 * @param contents an InferTensorContents, as it came; empty where there was none
 * @throws IpgraftError `SERVER_REQUEST` for elements in another field than the datatype's, another number of them than the shape has, elements
 *   that the datatype cannot hold, and datatypes without a field
 */
export function readContents(input: TensorMetadata, contents: Uint8Array): Uint8Array {
  const { datatype } = input;
  if (isBinaryOnly(datatype))
    throw refusal(
      `${named('input', input)}: ${datatype} has no typed contents: send it in raw_input_contents`,
    );
  const count = elementCount(input);
  try {
    const found = measure(input, datatype, contents);
    if (found.elements !== count)
      throw refusal(`${named('input', input)}: sought ${count} elements, found ${found.elements}`);
    const data = new Uint8Array(found.bytes);
    fill(input, datatype, contents, data);
    return data;
  } catch (error) {
    if (error instanceof IpgraftError) throw error;
    throw refusal(`${named('input', input)}: its contents are cut off, or of another wire type`);
  }
}

/** Whether the elements of a field lie in as many bytes each. */
function isFixed(datatype: Typed): boolean {
  return datatype === 'FP32' || datatype === 'FP64';
}

function measure(
  input: TensorMetadata,
  datatype: Typed,
  contents: Uint8Array,
): { readonly elements: number; readonly bytes: number } {
  const size = DATATYPE_SIZE[datatype];
  let elements = 0;
  let strings = 0;
  eachRun(input, datatype, contents, (from, to) => {
    if (size === null) {
      elements++;
      strings += 4 + to - from;
    } else if (isFixed(datatype)) {
      if ((to - from) % size !== 0) throw new RangeError();
      elements += (to - from) / size;
    } else for (let at = from; at < to; at++) if (contents[at]! < 0x80) elements++;
  });
  return { elements, bytes: size === null ? strings : elements * size };
}

function fill(input: TensorMetadata, datatype: Typed, contents: Uint8Array, data: Uint8Array): void {
  const view = new DataView(data.buffer);
  const reader = protobuf.Reader.create(contents);
  const size = DATATYPE_SIZE[datatype];
  let at = 0;
  eachRun(input, datatype, contents, (from, to) => {
    if (size === null) {
      view.setUint32(at, to - from, true);
      at += 4;
    }
    if (size === null || isFixed(datatype)) {
      data.set(contents.subarray(from, to), at);
      at += to - from;
      return;
    }
    reader.pos = from;
    reader.len = to;
    for (; reader.pos < to; at += size) store(input, datatype, view, at, reader);
    reader.len = contents.length;
  });
}

/** Reads one whole number, and writes it as the datatype has it. */
function store(
  input: TensorMetadata,
  datatype: Typed,
  view: DataView,
  at: number,
  reader: protobuf.Reader,
): void {
  if (datatype === 'BOOL') view.setUint8(at, Number(reader.bool()));
  else if (datatype === 'INT64' || datatype === 'UINT64') {
    // Halves of 32 bits, where protobufjs has a class for it: a number would be rounded.
    const { low, high } = reader.uint64() as protobuf.Long;
    view.setUint32(at, low, true);
    view.setUint32(at + 4, high, true);
  } else storeShort(input, datatype, view, at, reader);
}

function storeShort(
  input: TensorMetadata,
  datatype: Typed,
  view: DataView,
  at: number,
  reader: protobuf.Reader,
): void {
  const isSigned = datatype.startsWith('INT');
  const element = isSigned ? reader.int32() : reader.uint32();
  const [min, max] = WHOLE[datatype] ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  if (element < min || element > max)
    throw refusal(`${named('input', input)}: sought whole numbers from ${min} to ${max}, found ${element}`);
  // Two's complement: the lower bytes of a number are those of a shorter one.
  for (let byte = 0; byte < DATATYPE_SIZE[datatype]!; byte++)
    view.setUint8(at + byte, (element >>> (8 * byte)) & 0xff);
}

/** Where elements lie: all of a packed field, or one that stands alone. */
function eachRun(
  input: TensorMetadata,
  datatype: Typed,
  contents: Uint8Array,
  visit: (from: number, to: number) => void,
): void {
  const reader = protobuf.Reader.create(contents);
  const wanted = FIELD_OF[datatype];
  const alone = datatype === 'FP32' ? FIXED32 : datatype === 'FP64' ? FIXED64 : VARINT;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const [field, wire] = [tag >>> 3, tag & 7];
    if (FIELDS[field] && field !== wanted)
      throw refusal(`${named('input', input)}: sought ${FIELDS[wanted]}, found ${FIELDS[field]}`);
    const begin = reader.pos;
    const length = wire === LENGTH_DELIMITED ? reader.uint32() : 0;
    const from = wire === LENGTH_DELIMITED ? reader.pos : begin;
    if (wire === LENGTH_DELIMITED) reader.skip(length);
    else reader.skipType(wire);
    if (field !== wanted) continue;
    if (wire !== LENGTH_DELIMITED && (wire !== alone || datatype === 'BYTES')) throw new RangeError();
    visit(from, reader.pos);
  }
}
