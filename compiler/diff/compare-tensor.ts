import { dataTypeName } from '../onnx/data-type.js';
import type { Initializer } from '../onnx/initializer.js';
import { TENSOR } from '../onnx/schema.js';
import type { ExternalData } from '../onnx/tensor-header.js';
import { type Rope, sameBytes } from '../wire/rope.js';
import { changedParts, otherParts, recordsOf } from './body.js';
import { bytesKey } from './content-keys.js';
import type { Aspect } from './model-diff.js';

/** Where a comparison gets at bytes that are still in files. */
export interface Data {
  /** The bytes that a tensor of one of the models names outside it. */
  external(side: 'a' | 'b', external: ExternalData): Promise<Rope>;
  /** The first byte in which two ropes differ; `null` where they are equal. */
  firstDifference(a: Rope, b: Rope): Promise<number | null>;
}

/** How two tensors that stand for each other differ. */
export async function compareTensor(a: Initializer, b: Initializer, data: Data): Promise<Aspect[]> {
  const aspects: Aspect[] = [];
  const changed = (what: string, from: string | null, to: string | null) => {
    if (from !== to) aspects.push({ kind: 'changed', what, from, to });
  };
  const isSame = sameBytes(a.record, b.record);
  if (isSame && a.external === null) return [];
  if (a.name !== b.name) aspects.push({ kind: 'renamed', what: 'name', from: a.name, to: b.name });
  changed('dtype', dataTypeName(a.dataType), dataTypeName(b.dataType));
  changed('dims', dims(a), dims(b));
  const [ours, theirs] = await Promise.all([dataOf('a', a, data), dataOf('b', b, data)]);
  if (ours !== null && theirs !== null) {
    const at = await data.firstDifference(ours, theirs);
    if (at !== null) changed('data', null, `other bytes from ${at} on`);
    const [from, to] = [place(a), place(b)];
    if (from !== to && at === null) aspects.push({ kind: 'moved', what: 'data', from, to });
  } else if (numbers(a) !== numbers(b)) changed('data', null, 'other numbers');
  if (isSame) return aspects;
  aspects.push(...changedParts(otherParts(a.record, KNOWN, NAMES), otherParts(b.record, KNOWN, NAMES)));
  // The same but for data that is still in the files, which was compared.
  if (aspects.length === 0 && bytesKey(a.record) !== bytesKey(b.record))
    aspects.push({ kind: 'changed', what: 'encoding', from: null, to: null });
  return aspects;
}

/** `null` where the numbers are a list in the record. */
async function dataOf(side: 'a' | 'b', { raw, external }: Initializer, data: Data): Promise<Rope | null> {
  return external === null ? raw : data.external(side, external);
}

/** A tensor for people: its dtype and dims. */
export function describeTensor(tensor: Initializer): string {
  return `${dataTypeName(tensor.dataType)}${dims(tensor)}`;
}

function dims({ dims: sizes }: Initializer): string {
  return `[${sizes.join(', ')}]`;
}

/** Where a tensor's data is, in an aspect's words: in its record … */
export const INSIDE = 'inside the model';

/** … or in a file beside the model, at some byte. */
export function placeIn(location: string): string {
  return `${location} at byte `;
}

function place({ external }: Initializer): string {
  return external === null ? INSIDE : `${placeIn(external.location)}${external.offset}`;
}

/** Lists of numbers, by the number of their field: float_data to uint64_data. */
const NUMBERS: ReadonlySet<number> = new Set([4, 5, 6, 7, 10, 11]);

const KNOWN: ReadonlySet<number> = new Set([
  TENSOR.name,
  TENSOR.dims,
  TENSOR.dataType,
  TENSOR.rawData,
  TENSOR.externalData,
  TENSOR.dataLocation,
  ...NUMBERS,
]);
const NAMES = { 12: 'doc string', 16: 'metadata' };

function numbers({ record }: Initializer): string {
  return recordsOf(record)
    .filter(({ number }) => NUMBERS.has(number))
    .map(({ content }) => bytesKey(content))
    .join('');
}
