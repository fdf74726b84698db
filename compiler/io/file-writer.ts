import { writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setImmediate as otherWork } from 'node:timers/promises';
import type { Rope, StoredSegment } from '../wire/rope.js';
import { SHORT_READ } from './file-source.js';

/** Stays in a processor's second cache between being read and being written: larger ones were slower most of the time. Bytes. */
const BUFFER = SHORT_READ;
/** Pieces of this length need not be gathered. Bytes. */
const WORTH_A_WRITE = 32 * 1024;
/** After so many bytes whatever else waits gets its turn, such as Ctrl-C. */
const TURN = 8 * 1024 * 1024;

/** Told now and then how many bytes more are written. What it throws ends the writing. */
export type OnWritten = (bytes: number) => void;

/** Writes a rope as a new file. Memory is one buffer, whatever the length. */
export async function writeRope(path: string, rope: Rope, onWritten: OnWritten): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    const writer = new FileWriter(handle.fd, Math.min(BUFFER, rope.length), onWritten);
    for (const segment of rope.segments) {
      if (segment.kind === 'loaded') await writer.put(segment.bytes);
      else if (segment.kind === 'stored') await writer.copy(segment);
      else for await (const bytes of segment.produce()) await writer.put(bytes);
    }
    writer.finish();
  } finally {
    await handle.close();
  }
}

/**
 * Writes from front to back through one buffer. It blocks, for short times: a trip through the thread pool for each buffer would
 * cost more than the copy.
 */
class FileWriter {
  private readonly file: number;
  private readonly onWritten: OnWritten;
  private readonly buffer: Uint8Array;
  private filled = 0;
  private sinceTurn = 0;

  constructor(file: number, size: number, onWritten: OnWritten) {
    this.file = file;
    this.buffer = new Uint8Array(size);
    this.onWritten = onWritten;
  }

  async put(bytes: Uint8Array): Promise<void> {
    if (bytes.length >= WORTH_A_WRITE) {
      this.flush();
      this.write(bytes);
      return this.takeTurns();
    }
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + this.room);
      this.buffer.set(part, this.filled);
      done += part.length;
      await this.advance(part.length);
    }
  }

  async copy({ source, offset, length }: StoredSegment): Promise<void> {
    for (let done = 0; done < length; ) {
      const part = this.buffer.subarray(this.filled, this.filled + Math.min(this.room, length - done));
      await source.readInto(part, offset + done);
      done += part.length;
      await this.advance(part.length);
    }
  }

  finish(): void {
    this.flush();
    this.onWritten(this.sinceTurn);
  }

  private get room(): number {
    return this.buffer.length - this.filled;
  }

  private async advance(count: number): Promise<void> {
    this.filled += count;
    if (this.room > 0) return;
    this.flush();
    await this.takeTurns();
  }

  private async takeTurns(): Promise<void> {
    if (this.sinceTurn < TURN) return;
    this.onWritten(this.sinceTurn);
    this.sinceTurn = 0;
    await otherWork();
  }

  private flush(): void {
    this.write(this.buffer.subarray(0, this.filled));
    this.filled = 0;
  }

  private write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.file, bytes, done, bytes.length - done);
    this.sinceTurn += bytes.length;
  }
}
