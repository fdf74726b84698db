import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { type ByteSource, checkRange } from './byte-source.js';
import { digestBeside } from './file-digest.js';

/** A file on disk, open for reading until `close`. */
export interface FileSource extends ByteSource {
  readonly path: string;
  /** Its descriptor. */
  readonly file: number;
}

/**
 * Up to here a read blocks, a millisecond at most where the file is in memory: a model is indexed by thousands of small ones, an adapter's
 * weights have some megabytes each, and a trip through the thread pool takes longer than either. Bytes.
 */
const SHORT_READ = 4 * 1024 * 1024;

/** To start a thread takes as long as to digest so much. Bytes. */
const WORTH_A_THREAD = 16 * 1024 * 1024;

/** Opens `path` for random access. Errors of the file system (`ENOENT`, `EACCES`) pass through unchanged. */
export async function openFile(path: string): Promise<FileSource> {
  const handle = await open(path, 'r');
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw Object.assign(new Error(`not a regular file: ${path}`), { code: 'EISDIR' });
  }
  const name = basename(path);
  const { size } = stat;
  const readInto = async (target: Uint8Array, offset: number) => {
    checkRange({ name, size }, offset, target.length);
    for (let done = 0; done < target.length; ) {
      const count = await readSome(handle, target, done, offset + done);
      // Shorter than it was when it was opened.
      if (count === 0) checkRange({ name, size: offset + done }, offset, target.length);
      done += count;
    }
  };
  return {
    path,
    file: handle.fd,
    name,
    size,
    identity: `${stat.dev}:${stat.ino}`,
    async read(offset, length) {
      checkRange({ name, size }, offset, length);
      const bytes = new Uint8Array(length);
      await readInto(bytes, offset);
      return bytes;
    },
    readInto,
    ...(size >= WORTH_A_THREAD && { digest: () => digestBeside(handle.fd) }),
    close: () => handle.close(),
  };
}

async function readSome(
  handle: FileHandle,
  target: Uint8Array,
  at: number,
  position: number,
): Promise<number> {
  const length = target.length - at;
  if (length <= SHORT_READ) return readSync(handle.fd, target, at, length, position);
  return (await handle.read(target, at, length, position)).bytesRead;
}
