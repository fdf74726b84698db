import { writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate as otherWork } from 'node:timers/promises';
import type { Rope, StoredSegment } from '../wire/rope.js';

/**
 * What is written at once. Linux takes the pages of one write together: a few from what each processor keeps at hand, more only by a
 * search, with which copies of gigabytes took twice as long. Bytes.
 */
const PIECE = 64 * 1024;
/** What is gathered or read at once. Stays in a processor's second cache until it is written. Bytes. */
const BUFFER = 2 * PIECE;
/** After so many bytes whatever else waits gets its turn, such as Ctrl-C. */
const TURN = 8 * 1024 * 1024;

/** Told now and then how many bytes more are written. What it throws ends the writing. */
export type OnWritten = (bytes: number) => void;

/** Writes a rope as a new file. Memory is one buffer, whatever the length. */
export async function writeRope(path: string, rope: Rope, onWritten: OnWritten): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await writeRopeAt(handle, 0, rope, onWritten);
  } finally {
    await handle.close();
  }
}

/** Writes a rope from `position` on. */
export async function writeRopeAt(
  handle: FileHandle,
  position: number,
  rope: Rope,
  onWritten: OnWritten,
): Promise<void> {
  const writer = new FileWriter(handle.fd, position, onWritten);
  for (const segment of rope.segments) {
    if (segment.kind === 'loaded') await writer.put(segment.bytes);
    else if (segment.kind === 'stored') await writer.copy(segment);
    else for await (const bytes of segment.produce()) await writer.put(bytes);
  }
  writer.finish();
}

/**
 * Writes from front to back through one buffer, in pieces that begin at multiples of their length: one that lies across pages costs a
 * third more. It blocks, for short times: a trip through the thread pool for each buffer would cost more than the copy.
 */
class FileWriter {
  private readonly file: number;
  private readonly onWritten: OnWritten;
  private readonly buffer = new Uint8Array(BUFFER);
  /** Bytes in the buffer. */
  private filled = 0;
  /** How far the file is written. */
  private position: number;
  private sinceTurn = 0;

  constructor(file: number, position: number, onWritten: OnWritten) {
    this.file = file;
    this.position = position;
    this.onWritten = onWritten;
  }

  async put(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.length - done;
      if (this.filled === 0 && rest >= this.room) {
        // Whole pieces need not be gathered.
        const whole = rest - ((this.position + rest) % PIECE);
        this.write(bytes.subarray(done, done + whole));
        done += whole;
        await this.takeTurns();
      } else {
        const part = bytes.subarray(done, done + this.room);
        this.buffer.set(part, this.filled);
        done += part.length;
        await this.advance(part.length);
      }
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

  /** What the buffer takes until it holds whole pieces. */
  private get room(): number {
    return this.buffer.length - (this.position % PIECE) - this.filled;
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
    for (let done = 0; done < bytes.length; ) {
      const piece = Math.min(PIECE - (this.position % PIECE), bytes.length - done);
      const count = writeSync(this.file, bytes, done, piece, this.position);
      done += count;
      this.position += count;
    }
    this.sinceTurn += bytes.length;
  }
}
