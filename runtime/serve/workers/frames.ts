import type { Duplex } from 'node:stream';

/** One message between a model's worker and whoever asks it: what is said, and tensors' bytes beside it. */
export interface Frame<Head> {
  readonly head: Head;
  readonly parts: readonly Uint8Array[];
}

/** Bytes of the head as uint32, of the body as uint64 behind four that are zero. */
const PREFIX = 16;
/** Every part begins at a multiple of it, so that a view of any element type can be laid over it. */
const ALIGNMENT = 8;

const PADDING = new Uint8Array(ALIGNMENT);

/**
 * Sends a frame: prefix, head as JSON with the length of each part, parts with padding behind each. No part is copied: their
 * bytes must stay as they are until the frame is answered.
 */
export function sendFrame<Head>(stream: Duplex, { head, parts }: Frame<Head>): void {
  const lengths = parts.map((part) => part.byteLength);
  const json = Buffer.from(JSON.stringify({ head, lengths }));
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32LE(json.byteLength, 0);
  prefix.writeBigUInt64LE(BigInt(lengths.reduce((sum, length) => sum + padded(length), 0)), 8);
  // One system call for all of them.
  stream.cork();
  stream.write(prefix);
  stream.write(json);
  for (const part of parts) {
    if (part.byteLength === 0) continue;
    stream.write(part);
    const padding = padded(part.byteLength) - part.byteLength;
    if (padding > 0) stream.write(PADDING.subarray(0, padding));
  }
  stream.uncork();
}

/** Calls `onFrame` for every frame that a stream brings. The parts of one frame share a buffer of their own. */
export function onFrames<Head>(stream: Duplex, onFrame: (frame: Frame<Head>) => void): void {
  const targets = framesInto(onFrame);
  let target = targets.next().value;
  stream.on('data', (chunk: Uint8Array) => {
    for (let rest = chunk; rest.length > 0; ) {
      const piece = rest.subarray(0, target.length);
      target.set(piece);
      rest = rest.subarray(piece.length);
      target = target.subarray(piece.length);
      // A body may be empty.
      while (target.length === 0) target = targets.next().value;
    }
  });
}

/** Yields what is to be filled next. */
function* framesInto<Head>(onFrame: (frame: Frame<Head>) => void): Generator<Uint8Array, never> {
  for (;;) {
    const prefix = Buffer.alloc(PREFIX);
    yield prefix;
    const json = Buffer.alloc(prefix.readUInt32LE(0));
    yield json;
    // Not of the pool that small buffers share: views begin at multiples of eight here.
    const body = Buffer.allocUnsafeSlow(Number(prefix.readBigUInt64LE(8)));
    yield body;
    const { head, lengths } = JSON.parse(json.toString()) as { head: Head; lengths: readonly number[] };
    let offset = 0;
    const parts = lengths.map((length) => {
      const part = body.subarray(offset, offset + length);
      offset += padded(length);
      return part;
    });
    onFrame({ head, parts });
  }
}

function padded(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
