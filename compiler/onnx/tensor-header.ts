import { fields, integer, integers, text } from '../wire/fields.js';
import type { Rope } from '../wire/rope.js';
import { ENTRY, TENSOR } from './schema.js';

/** Where a tensor's data lies outside the model file: bytes `offset` up to `offset + length` of a file in its folder. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  /** `null`: to the end of the file. */
  readonly length: number | null;
}

/** TensorProto.DataLocation: within the record … */
export const HERE = 0;
/** … and outside. */
export const EXTERNAL = 1;

/** What a TensorProto says of itself, without its data. */
export interface TensorHeader {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly raw: { readonly payload: number; readonly end: number } | null;
  readonly external: ExternalData | null;
}

/** Reads a TensorProto; its data stays where it is. */
export function readTensorHeader(tensor: Rope): TensorHeader {
  const dims: number[] = [];
  const entries = new Map<string, string>();
  let name = '';
  let dataType = 0;
  let raw: TensorHeader['raw'] = null;
  let isExternal = false;
  for (const field of fields(tensor)) {
    if (field.number === TENSOR.dims) dims.push(...integers(tensor, field));
    else if (field.number === TENSOR.dataType) dataType = integer(tensor, field);
    else if (field.number === TENSOR.name) name = text(tensor, field);
    else if (field.number === TENSOR.rawData) raw = field;
    else if (field.number === TENSOR.dataLocation) isExternal = integer(tensor, field) === EXTERNAL;
    else if (field.number === TENSOR.externalData) {
      const [key, value] = readEntry(tensor.slice(field.payload, field.end));
      entries.set(key, value);
    }
  }
  const length = entries.get('length');
  const external = isExternal
    ? {
        location: entries.get('location') ?? '',
        offset: Number(entries.get('offset') ?? 0),
        length: length === undefined ? null : Number(length),
      }
    : null;
  return { name, dims, dataType, raw, external };
}

/** A StringStringEntryProto. */
export function readEntry(entry: Rope): [key: string, value: string] {
  let key = '';
  let value = '';
  for (const field of fields(entry)) {
    if (field.number === ENTRY.key) key = text(entry, field);
    else if (field.number === ENTRY.value) value = text(entry, field);
  }
  return [key, value];
}
