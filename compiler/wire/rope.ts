import type { ByteSource } from '../io/byte-source.js';

/** Bytes in memory. Those read from a source remember where, so that a writer can copy the range instead. */
export interface LoadedSegment {
  readonly kind: 'loaded';
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly source?: ByteSource;
  readonly offset?: number;
}

/** Bytes that stay in their source until they are written: the payload of a large tensor. */
export interface StoredSegment {
  readonly kind: 'stored';
  readonly length: number;
  readonly source: ByteSource;
  readonly offset: number;
}

/** Bytes made when they are written: a weight that is converted and transposed on the way out. */
export interface ProducedSegment {
  readonly kind: 'produced';
  readonly length: number;
  /** Yields exactly `length` bytes, the same ones at each call. A chunk holds until the next is asked for. */
  produce(): AsyncIterable<Uint8Array>;
}

export type Segment = LoadedSegment | StoredSegment | ProducedSegment;

const AT_ZERO: readonly number[] = [0];
const NOTHING = { length: 0 };

/**
 * A byte string in pieces, most of which may still lie in a file. Immutable; slicing and joining copy no bytes.
 * It is what a message, a record and a whole output file are made of.
 */
export class Rope {
  static readonly EMPTY = new Rope([]);

  readonly segments: readonly Segment[];
  readonly length: number;
  /** Where each segment starts. */
  private readonly starts: readonly number[];

  constructor(segments: readonly Segment[]) {
    this.segments = segments;
    if (segments.length === 1) {
      // Most ropes are records of a loaded file: thousands, in one piece.
      this.starts = AT_ZERO;
      this.length = segments[0]!.length;
      return;
    }
    const starts: number[] = [];
    let length = 0;
    for (const segment of segments) {
      starts.push(length);
      length += segment.length;
    }
    this.starts = starts;
    this.length = length;
  }

  static of(bytes: Uint8Array): Rope {
    return new Rope([{ kind: 'loaded', length: bytes.length, bytes }]);
  }

  /** A text in UTF-8. */
  static ofText(text: string): Rope {
    return Rope.of(new TextEncoder().encode(text));
  }

  static join(ropes: readonly Rope[]): Rope {
    return new Rope(ropes.flatMap((rope) => rope.segments).filter((segment) => segment.length > 0));
  }

  /** The part from `start` up to `end`. A produced segment cannot be cut: nothing ever needs it. */
  slice(start: number, end: number): Rope {
    const first = this.indexAt(start);
    const { length } = this.segments[first] ?? NOTHING;
    const at = start - (this.starts[first] ?? 0);
    // An array of exactly one: one that grows takes room for seventeen.
    if (at >= 0 && end > start && end - start <= length - at)
      return new Rope([cut(this.segments[first]!, at, at + end - start)]);
    const parts: Segment[] = [];
    for (let i = first; i < this.segments.length && this.starts[i]! < end; i++) {
      const segment = this.segments[i]!;
      const from = Math.max(0, start - this.starts[i]!);
      const to = Math.min(segment.length, end - this.starts[i]!);
      if (to > from) parts.push(cut(segment, from, to));
    }
    return new Rope(parts);
  }

  /** The segment in which `position` lies, and where it starts. */
  segmentAt(position: number): { segment: Segment; start: number } | undefined {
    const i = this.indexAt(position);
    const segment = this.segments[i];
    return segment && { segment, start: this.starts[i]! };
  }

  /** The bytes, when all of them are in memory; `undefined` when some still lie in a file or are yet to be made. */
  get bytes(): Uint8Array | undefined {
    if (this.segments.length === 0) return new Uint8Array(0);
    const [first] = this.segments;
    if (this.segments.length === 1) return first!.kind === 'loaded' ? first!.bytes : undefined;
    const joined = new Uint8Array(this.length);
    for (let i = 0; i < this.segments.length; i++) {
      const segment = this.segments[i]!;
      if (segment.kind !== 'loaded') return undefined;
      joined.set(segment.bytes, this.starts[i]!);
    }
    return joined;
  }

  private indexAt(position: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.starts[middle]! <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function cut(segment: Segment, from: number, to: number): Segment {
  if (from === 0 && to === segment.length) return segment;
  const length = to - from;
  if (segment.kind === 'produced') throw new Error('a produced segment cannot be cut');
  if (segment.kind === 'stored') return { ...segment, length, offset: segment.offset + from };
  const bytes = segment.bytes.subarray(from, to);
  return segment.source === undefined
    ? { kind: 'loaded', length, bytes }
    : { kind: 'loaded', length, bytes, source: segment.source, offset: segment.offset! + from };
}

/**
 * Whether two ropes hold the same bytes, without reading any: what is still in a file is equal when it is the same place of
 * the same source.
 */
export function sameBytes(a: Rope, b: Rope): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let position = 0; position < a.length; ) {
    const [ours, theirs] = [a.segmentAt(position)!, b.segmentAt(position)!];
    const end = Math.min(ours.start + ours.segment.length, theirs.start + theirs.segment.length);
    const [left, right] = [a.slice(position, end).segments[0]!, b.slice(position, end).segments[0]!];
    if (!sameSegment(left, right)) return false;
    position = end;
  }
  return true;
}

function sameSegment(a: Segment, b: Segment): boolean {
  if (a.kind === 'stored' && b.kind === 'stored') return a.source === b.source && a.offset === b.offset;
  if (a.kind === 'loaded' && b.kind === 'loaded') {
    if (a.bytes === b.bytes) return true;
    let same = 0;
    while (same < a.length && a.bytes[same] === b.bytes[same]) same++;
    return same === a.length;
  }
  return a === b;
}
