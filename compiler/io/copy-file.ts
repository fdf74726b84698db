import { constants, copyFile, stat } from 'node:fs/promises';
import { Rope } from '../wire/rope.js';
import { openFile } from './file-source.js';
import { type OnWritten, writeRope } from './file-writer.js';

/**
 * Copies a file: by sharing its blocks where the file system can, else through a buffer, which took half the time of
 * Node's own `copyFile`, tells how far it is and can be stopped.
 */
export async function copyWhole(from: string, to: string, onWritten: OnWritten): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
  } catch {
    // Most file systems share no blocks; whatever else is wrong shows again below.
    const source = await openFile(from);
    try {
      const segment = { kind: 'stored', length: source.size, source, offset: 0 } as const;
      await writeRope(to, new Rope([segment]), onWritten);
    } finally {
      await source.close();
    }
    return;
  }
  onWritten((await stat(to)).size);
}
