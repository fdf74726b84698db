import type { Segment } from './rope.js';

/** What is read at once. Bytes. */
const CHUNK = 8 * 1024 * 1024;

/** A segment's bytes in chunks, wherever they are. A chunk holds until the next is asked for. */
export async function* bytesOf(segment: Segment): AsyncIterable<Uint8Array> {
  if (segment.kind === 'loaded') yield segment.bytes;
  else if (segment.kind === 'produced') yield* segment.produce();
  else {
    for (let offset = 0; offset < segment.length; offset += CHUNK) {
      yield await segment.source.read(segment.offset + offset, Math.min(CHUNK, segment.length - offset));
    }
  }
}

/** All of a segment at once: for one weight, never for a model. */
export async function wholeSegment(segment: Segment): Promise<Uint8Array> {
  if (segment.kind === 'stored') return segment.source.read(segment.offset, segment.length);
  const bytes = new Uint8Array(segment.length);
  let filled = 0;
  for await (const chunk of bytesOf(segment)) {
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  return bytes;
}
