import type { ByteSource } from '../io/byte-source.js';
import type { Rope, Segment } from '../wire/rope.js';
import { wholeSegment } from '../wire/segment-bytes.js';

/** What is compared at once. Bytes. */
const CHUNK = 1024 * 1024;

/** Says how far a comparison of weights is. Bytes. */
export type OnCompared = (bytes: number) => void;

/**
 * The first byte in which two ropes differ; `null` where they are equal. What lies at one place of one file is equal without being
 * read; everything else is read in pieces, as far as the first difference.
 */
export async function firstDifference(a: Rope, b: Rope, onCompared?: OnCompared): Promise<number | null> {
  const end = Math.min(a.length, b.length);
  for (let position = 0; position < end; ) {
    const [ours, theirs] = [a.segmentAt(position)!, b.segmentAt(position)!];
    const stop = Math.min(end, ours.start + ours.segment.length, theirs.start + theirs.segment.length);
    const difference = await differenceOf(
      { segment: ours.segment, from: position - ours.start },
      { segment: theirs.segment, from: position - theirs.start },
      stop - position,
      onCompared,
    );
    if (difference !== null) return position + difference;
    position = stop;
  }
  return a.length === b.length ? null : end;
}

interface Part {
  readonly segment: Segment;
  readonly from: number;
  /** A produced segment's bytes, once they were made. */
  made?: Uint8Array;
}

async function differenceOf(
  a: Part,
  b: Part,
  length: number,
  onCompared: OnCompared | undefined,
): Promise<number | null> {
  if (isSamePlace(a, b)) return null;
  for (let done = 0; done < length; done += CHUNK) {
    const size = Math.min(CHUNK, length - done);
    const [ours, theirs] = await Promise.all([bytesAt(a, done, size), bytesAt(b, done, size)]);
    const difference = firstDifferentByte(ours, theirs);
    if (difference !== null) return done + difference;
    onCompared?.(size);
  }
  return null;
}

/** Four bytes at a time where they lie so: what was read from a file does. */
function firstDifferentByte(a: Uint8Array, b: Uint8Array): number | null {
  const isAligned = a.byteOffset % 4 === 0 && b.byteOffset % 4 === 0;
  const words = isAligned ? Math.floor(a.length / 4) : 0;
  const [left, right] = isAligned
    ? [new Int32Array(a.buffer, a.byteOffset, words), new Int32Array(b.buffer, b.byteOffset, words)]
    : [a, b];
  let same = 0;
  while (same < words && left[same] === right[same]) same++;
  for (let i = same * 4; i < a.length; i++) if (a[i] !== b[i]) return i;
  return null;
}

function isSamePlace(a: Part, b: Part): boolean {
  const [ours, theirs] = [a.segment, b.segment];
  if (ours.kind !== 'stored' || theirs.kind !== 'stored') return false;
  return isSameSource(ours.source, theirs.source) && ours.offset + a.from === theirs.offset + b.from;
}

function isSameSource(a: ByteSource, b: ByteSource): boolean {
  return a === b || (a.identity !== undefined && a.identity === b.identity);
}

/** Bytes of a part; what is yet to be made is made whole, as one weight's data is. */
async function bytesAt(part: Part, at: number, size: number): Promise<Uint8Array> {
  const { segment, from } = part;
  if (segment.kind === 'loaded') return segment.bytes.subarray(from + at, from + at + size);
  if (segment.kind === 'stored') return segment.source.read(segment.offset + from + at, size);
  part.made ??= await wholeSegment(segment);
  return part.made.subarray(from + at, from + at + size);
}
