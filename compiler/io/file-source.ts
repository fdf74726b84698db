import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { type ByteSource, checkRange } from './byte-source.js';

/** A file on disk, open for reading until `close`. */
export interface FileSource extends ByteSource {
  readonly path: string;
}

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
  return {
    path,
    name,
    size,
    async read(offset, length) {
      checkRange({ name, size }, offset, length);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) checkRange({ name, size: offset + done }, offset, length);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}
