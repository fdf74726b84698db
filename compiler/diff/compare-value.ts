import { dataTypeName } from '../onnx/data-type.js';
import { VALUE_INFO } from '../onnx/schema.js';
import type { ValueInfo } from '../onnx/value-info.js';
import { sameBytes } from '../wire/rope.js';
import { changedParts, otherParts } from './body.js';
import type { Aspect } from './model-diff.js';

/** How two notes of one value (an input, an output, a value on the way) differ. */
export function compareValue(a: ValueInfo, b: ValueInfo): Aspect[] {
  if (sameBytes(a.record, b.record)) return [];
  const aspects: Aspect[] = [];
  const changed = (what: string, from: string | null, to: string | null) => {
    if (from !== to) aspects.push({ kind: 'changed', what, from, to });
  };
  if (a.name !== b.name) aspects.push({ kind: 'renamed', what: 'name', from: a.name, to: b.name });
  changed('dtype', dataTypeName(a.dataType), dataTypeName(b.dataType));
  const [from, to] = [a.shape, b.shape];
  if (from === null || to === null || from.length !== to.length) changed('shape', shapeText(a), shapeText(b));
  else
    for (const [axis, size] of from.entries())
      changed(`dimension ${axis}`, dimension(size), dimension(to[axis]!));
  aspects.push(...changedParts(otherParts(a.record, KNOWN, NAMES), otherParts(b.record, KNOWN, NAMES)));
  if (aspects.length === 0) aspects.push({ kind: 'changed', what: 'encoding', from: null, to: null });
  return aspects;
}

const KNOWN: ReadonlySet<number> = new Set([VALUE_INFO.name, VALUE_INFO.type]);
const NAMES = { 3: 'doc string', [VALUE_INFO.metadata]: 'metadata' };

/** A value for people: its dtype and shape. */
export function describeValue(value: ValueInfo): string {
  return `${dataTypeName(value.dataType)}${shapeText(value)}`;
}

function shapeText({ shape }: ValueInfo): string {
  return shape === null ? '[…]' : `[${shape.map((size) => dimension(size) ?? '?').join(', ')}]`;
}

function dimension(size: number | string | null): string | null {
  return size === null ? null : String(size);
}
