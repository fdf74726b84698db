import { IpgraftError } from '../errors.js';
import type { ByteSource } from '../io/byte-source.js';
import { Cursor } from './cursor.js';
import { readHeader, WIRE } from './fields.js';
import { Rope, type Segment } from './rope.js';

/** Content this long or longer is left in the file unless its message type says how to look inside. Bytes. */
export const LARGE = 16 * 1024;

/** Which fields of a message are messages worth looking into, or are always `loaded`, however long. */
export interface MessageType {
  readonly [field: number]: MessageType | 'loaded';
}

/** First read after a gap, and the largest one. Bytes. */
const FIRST_READ = 4 * 1024;
const LARGEST_READ = 256 * 1024;
/** Tag and length, both as long as a varint may be. */
const LONGEST_HEADER = 20;
const DEEPEST = 64;

/**
 * The whole of a source as a rope whose large leaves are still in the file: reads what describes a model and
 * seeks past what it weighs. Memory is bounded by the graph, never by the tensors.
 * @throws IpgraftError `WIRE_TRUNCATED`, `WIRE_MALFORMED`
 */
export async function loadSparse(source: ByteSource, type: MessageType): Promise<Rope> {
  const loader = new SparseLoader(source);
  await loader.walk(0, source.size, type, 0);
  return loader.finish();
}

class SparseLoader {
  private readonly source: ByteSource;
  private readonly segments: Segment[] = [];
  /** Bytes since the last gap: `buffer[0]` is the byte at `runStart`; `filled` of them are read. */
  private buffer = new Uint8Array(FIRST_READ);
  private runStart = 0;
  private filled = 0;
  private nextRead = FIRST_READ;

  constructor(source: ByteSource) {
    this.source = source;
  }

  async walk(start: number, end: number, type: MessageType, depth: number): Promise<void> {
    if (depth > DEEPEST) {
      throw new IpgraftError(
        'WIRE_MALFORMED',
        `messages are nested more than ${DEEPEST} deep at byte ${start}`,
        { offset: start },
      );
    }
    for (let position = start; position < end; ) {
      const header = Math.min(position + LONGEST_HEADER, end);
      // Most of it is there, and to wait for nothing takes longer than to look.
      if (this.isMissing(header)) await this.ensure(header);
      const read = this.buffer.subarray(0, Math.min(this.filled, end - this.runStart));
      const field = readHeader(new Cursor(read, position - this.runStart), this.runStart);
      if (field.end > end) {
        throw new IpgraftError(
          'WIRE_TRUNCATED',
          `${this.source.name}: the record at byte ${field.start} runs to ${field.end}, what holds it ends at ${end}`,
          { file: this.source.name, offset: field.start, sought: field.end, found: end },
        );
      }
      const inside = field.wireType === WIRE.BYTES ? type[field.number] : undefined;
      if (field.end - field.payload < LARGE || inside === 'loaded') {
        if (this.isMissing(field.end)) await this.ensure(field.end);
      } else if (inside !== undefined) await this.walk(field.payload, field.end, inside, depth + 1);
      else this.skip(field.payload, field.end);
      position = field.end;
    }
  }

  finish(): Rope {
    this.closeRun(this.source.size);
    return new Rope(this.segments);
  }

  /** Reads on until every byte before `end` since the last gap is in the buffer. */
  private async ensure(end: number): Promise<void> {
    while (this.isMissing(end)) {
      const offset = this.runStart + this.filled;
      const wanted = Math.max(this.nextRead, end - offset);
      const bytes = await this.source.read(offset, Math.min(wanted, this.source.size - offset));
      if (this.filled + bytes.length > this.buffer.length) {
        const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.filled + bytes.length));
        grown.set(this.buffer.subarray(0, this.filled));
        this.buffer = grown;
      }
      this.buffer.set(bytes, this.filled);
      this.filled += bytes.length;
      this.nextRead = Math.min(this.nextRead * 2, LARGEST_READ);
    }
  }

  private isMissing(end: number): boolean {
    return this.runStart + this.filled < end;
  }

  private skip(start: number, end: number): void {
    this.closeRun(start);
    this.segments.push({ kind: 'stored', length: end - start, source: this.source, offset: start });
    this.buffer = new Uint8Array(FIRST_READ);
    this.runStart = end;
    this.filled = 0;
    this.nextRead = FIRST_READ;
  }

  private closeRun(end: number): void {
    const length = end - this.runStart;
    if (length <= 0) return;
    const isFull = length > 0.75 * this.buffer.length;
    const bytes = isFull ? this.buffer.subarray(0, length) : this.buffer.slice(0, length);
    this.segments.push({ kind: 'loaded', length, bytes, source: this.source, offset: this.runStart });
  }
}
