import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { IpgraftError } from '../errors.js';

/** A file that is read, and what it was when it was opened. */
export interface InputFile {
  readonly path: string;
  /** Device, inode, size and time of the last change. */
  readonly state: string;
}

/** Remembers what a file is now. Errors of the file system pass through unchanged. */
export async function inputFile(path: string): Promise<InputFile> {
  return { path, state: await stateOf(path) };
}

/**
 * Refuses to go on when a file is no longer what it was: what was made of it may be of two minds, and what names places in it would be
 * wrong.
 * @throws IpgraftError `OUTPUT_INPUT_CHANGED`
 */
export async function refuseChanged(files: readonly InputFile[]): Promise<void> {
  for (const { path, state } of files) {
    const now = await stateOf(path).catch(() => null);
    if (now === state) continue;
    throw inputChanged(path, now === null ? 'it is gone' : 'it was changed or replaced');
  }
}

/** A file did not stay what it was. */
export function inputChanged(path: string, found: string): IpgraftError {
  const file = basename(path);
  return new IpgraftError(
    'OUTPUT_INPUT_CHANGED',
    `${file} did not stay as it was when it was opened: ${found}`,
    { file },
  );
}

async function stateOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs].join(':');
}
