import { fields, integers } from '../wire/fields.js';
import { Rope } from '../wire/rope.js';
import { integerRecord, record, splice, textRecord } from '../wire/splice.js';
import { DATA_TYPE } from './data-type.js';
import type { ValueName } from './node.js';
import { ENTRY, TENSOR } from './schema.js';
import { EXTERNAL, type ExternalData, HERE, readTensorHeader, type TensorHeader } from './tensor-header.js';

/** A TensorProto among a graph's initializers: its header decoded on first read, its data never unless asked. */
export class Initializer {
  readonly record: Rope;
  /** Where the record starts in the base file; `null` for one that was inserted. */
  readonly place: number | null;
  private header: TensorHeader | undefined;

  constructor(record: Rope, place: number | null) {
    this.record = record;
    this.place = place;
  }

  get name(): ValueName {
    return this.decoded.name;
  }

  get dims(): readonly number[] {
    return this.decoded.dims;
  }

  /** TensorProto.DataType. */
  get dataType(): number {
    return this.decoded.dataType;
  }

  get external(): ExternalData | null {
    return this.decoded.external;
  }

  /** The raw data inside the model file: in memory when small, a range of the file when large. */
  get raw(): Rope | null {
    const { raw } = this.decoded;
    return raw && this.record.slice(raw.payload, raw.end);
  }

  /**
   * The values of a small integer tensor (shapes, axes, indices).
   * `undefined` for another type, or data that is not in memory.
   */
  integers(): number[] | undefined {
    if (this.dataType !== DATA_TYPE.int64 && this.dataType !== DATA_TYPE.int32) return undefined;
    const bytes = this.raw?.bytes;
    if (bytes !== undefined) return readIntegers(bytes, this.dataType);
    if (this.raw !== null || this.external !== null) return undefined;
    return fields(this.record)
      .filter((field) => field.number === TENSOR.int64Data || field.number === TENSOR.int32Data)
      .flatMap((field) => integers(this.record, field));
  }

  /**
   * The same tensor with its raw data named instead of carried: the new records stand where `raw_data` stood. A record may say where its
   * data is already, “here”; the last one to say so counts, so that one says “outside” too.
   */
  withExternalData(external: ExternalData): Initializer {
    const entries = [
      ['location', external.location],
      ['offset', String(external.offset)],
      ['length', String(external.length)],
    ].map(([key, value]) =>
      record(TENSOR.externalData, Rope.join([textRecord(ENTRY.key, key!), textRecord(ENTRY.value, value!)])),
    );
    const outside = integerRecord(TENSOR.dataLocation, EXTERNAL);
    const named = Rope.join([...entries, outside]);
    return new Initializer(
      splice(this.record, (field) =>
        field.number === TENSOR.rawData ? named : field.number === TENSOR.dataLocation ? outside : undefined,
      ),
      this.place,
    );
  }

  /** The inverse of {@link withExternalData}: the data back where its name stands, and what said “here” before says it again. */
  withRawData(data: Rope): Initializer {
    const numbers = fields(this.record).map(({ number }) => number);
    const first = numbers.indexOf(TENSOR.externalData);
    // The location that came with the name follows it.
    const own = numbers.lastIndexOf(TENSOR.externalData) + 1;
    const spliced = splice(this.record, (field, index) => {
      if (field.number === TENSOR.externalData)
        return index === first ? record(TENSOR.rawData, data) : Rope.EMPTY;
      if (field.number !== TENSOR.dataLocation) return undefined;
      return index === own ? Rope.EMPTY : integerRecord(TENSOR.dataLocation, HERE);
    });
    return new Initializer(spliced, this.place);
  }

  private get decoded(): TensorHeader {
    this.header ??= readTensorHeader(this.record);
    return this.header;
  }
}

/** Little-endian integers of a raw tensor, exact up to 2^53. */
export function readIntegers(bytes: Uint8Array, dataType: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = dataType === DATA_TYPE.int64 ? 8 : 4;
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) =>
    size === 8 ? Number(view.getBigInt64(i * 8, true)) : view.getInt32(i * 4, true),
  );
}
