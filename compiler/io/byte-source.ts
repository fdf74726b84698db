import { IpgraftError } from '../errors.js';

/**
 * Random access to bytes that stay where they are: a file, a buffer, a `Blob`. Offsets and lengths are bytes.
 * Nothing in ipgraft reads a source whole.
 */
export interface ByteSource {
  /** For messages: a file name, never a full path. */
  readonly name: string;
  readonly size: number;
  /** Of a file, what tells that two sources are the same one: device and inode. */
  readonly identity?: string;
  /**
   * Exactly `length` bytes from `offset`; the result may be kept by the caller.
   * @throws IpgraftError `WIRE_TRUNCATED` when the source ends before.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `target` with the bytes from `offset`: for whoever reads much and keeps little. @throws as {@link read} */
  readInto(target: Uint8Array, offset: number): Promise<void>;
  /** SHA-256 of all bytes as hexadecimal digits, where the source has a faster way than to be read. */
  digest?(): Promise<string>;
  close(): Promise<void>;
}

/** Refuses a range that a source does not have, naming both. */
export function checkRange(source: Pick<ByteSource, 'name' | 'size'>, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= source.size) return;
  throw new IpgraftError(
    'WIRE_TRUNCATED',
    `${source.name}: sought ${length} bytes at ${offset}, the file ends at ${source.size}`,
    { file: source.name, offset, length, size: source.size },
  );
}

/** Bytes already in memory. */
export function bufferSource(bytes: Uint8Array, name = 'buffer'): ByteSource {
  return rangeSource(name, bytes.length, async (offset, length) => bytes.subarray(offset, offset + length));
}

/** A `Blob` or a browser `File`. */
export function blobSource(blob: Blob, name = 'name' in blob ? String(blob.name) : 'blob'): ByteSource {
  return rangeSource(
    name,
    blob.size,
    async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  );
}

/** Bytes that `get` fetches by range, such as those of an HTTP server. It is asked for ranges within `size` only. */
export function rangeSource(
  name: string,
  size: number,
  get: (offset: number, length: number) => Promise<Uint8Array>,
): ByteSource {
  const read = async (offset: number, length: number) => {
    checkRange({ name, size }, offset, length);
    return get(offset, length);
  };
  return {
    name,
    size,
    read,
    readInto: async (target, offset) => target.set(await read(offset, target.length)),
    async close() {},
  };
}
