import { mkdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { IpgraftError } from '../errors.js';
import type { Rope } from '../wire/rope.js';
import { copyWhole } from './copy-file.js';
import { writeRope } from './file-writer.js';
import { type InputFile, refuseChanged } from './input-file.js';

/** One file to write: bytes, or the copy of another file. */
export interface OutputFile {
  readonly path: string;
  readonly content: Rope | { readonly copyOf: string; readonly size: number };
}

/** How to write. */
export interface WriteOptions {
  /** Replace files that exist. */
  readonly force?: boolean;
  /** Files that are read: they are never replaced, `force` or not, and must stay as they were opened until all is written. */
  readonly inputs?: readonly InputFile[];
  /** Told after each chunk how many bytes of how many are written. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Stops the work; nothing is left behind. */
  readonly signal?: AbortSignal;
}

/**
 * Writes files that belong together: each under a temporary name first, renamed when all are complete, in the given
 * order. When anything fails no file and no folder is left, and none is changed; only should a rename fail after others
 * have replaced files (`force`), those stay replaced.
 * @throws IpgraftError `OUTPUT_EXISTS`, `OUTPUT_IS_INPUT`, `OUTPUT_INPUT_CHANGED`, `OUTPUT_FAILED` (disk full, no permission),
 *   `OPTION_INVALID` when two outputs are one file
 */
export async function writeFiles(files: readonly OutputFile[], options: WriteOptions = {}): Promise<void> {
  refuseTwins(files);
  await refuseInputs(files, options.inputs ?? []);
  for (const { path } of files) await refuseExisting(path, options.force === true);
  const total = files.reduce(
    (sum, { content }) => sum + ('copyOf' in content ? content.size : content.length),
    0,
  );
  const stop = new AbortController();
  let done = 0;
  const progress = (bytes: number): void => {
    options.signal?.throwIfAborted();
    stop.signal.throwIfAborted();
    done += bytes;
    options.onProgress?.(done, total);
  };
  const drafts = files.map(({ path }) => join(dirname(path), `.${basename(path)}.${process.pid}.ipgraft`));
  const madeFolders = new Set<string>();
  const inPlace: string[] = [];
  try {
    for (const { path } of files) {
      const topmost = await mkdir(dirname(path), { recursive: true });
      if (topmost !== undefined) for (const folder of upTo(topmost, dirname(path))) madeFolders.add(folder);
    }
    // All at once: while the kernel copies one, another is made here. The first to fail stops the others.
    const writing = files.map(({ path, content }, i) =>
      ('copyOf' in content
        ? copyWhole(content.copyOf, drafts[i]!, progress)
        : writeRope(drafts[i]!, content, progress)
      ).catch((error) => stop.abort(asOutputError(error, path))),
    );
    await Promise.all(writing);
    stop.signal.throwIfAborted();
    options.signal?.throwIfAborted();
    await refuseChanged(options.inputs ?? []);
    for (const [i, { path }] of files.entries()) {
      const replaces = (await identity(path)) !== null;
      await rename(drafts[i]!, path);
      if (!replaces) inPlace.push(path);
    }
  } catch (error) {
    // What cannot be removed was never made.
    await Promise.allSettled([...drafts, ...inPlace].map((file) => rm(file, { force: true })));
    // Deepest first; one that is not empty holds what somebody else put there, and stays.
    for (const folder of [...madeFolders].sort((a, b) => b.length - a.length))
      await rmdir(folder).catch(() => {});
    throw asOutputError(error, files[0]?.path ?? '');
  }
}

/** `folder` and what encloses it, up to `topmost`. */
function upTo(topmost: string, folder: string): string[] {
  return resolve(folder) === resolve(topmost) ? [folder] : [folder, ...upTo(topmost, dirname(folder))];
}

function refuseTwins(files: readonly OutputFile[]): void {
  const paths = files.map(({ path }) => resolve(path));
  const twin = paths.find((path, i) => paths.indexOf(path) !== i);
  if (twin === undefined) return;
  throw new IpgraftError('OPTION_INVALID', `${basename(twin)} is named for two outputs`, {
    file: basename(twin),
  });
}

async function refuseInputs(files: readonly OutputFile[], inputs: readonly InputFile[]): Promise<void> {
  const taken = new Set(await Promise.all(inputs.map(({ path }) => identity(path))));
  for (const { path } of files) {
    const file = await identity(path);
    if (file === null || !taken.has(file)) continue;
    throw new IpgraftError('OUTPUT_IS_INPUT', `${basename(path)} is one of the inputs`, {
      file: basename(path),
    });
  }
}

/** Two names of one file have one identity; `null` where there is no file. */
async function identity(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

async function refuseExisting(path: string, force: boolean): Promise<void> {
  let isFile: boolean;
  try {
    isFile = (await stat(path)).isFile();
  } catch {
    return;
  }
  const file = basename(path);
  if (!isFile) throw new IpgraftError('OUTPUT_FAILED', `${file} was not written: it is no file`, { file });
  if (!force) throw new IpgraftError('OUTPUT_EXISTS', `${file} exists already`, { file });
}

/** What the file system says, in our words; our own errors and an abort pass through. */
function asOutputError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const why: Readonly<Record<string, string>> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EFBIG: 'the file would be larger than allowed',
    EACCES: 'no permission to write there',
    EPERM: 'no permission to write there',
    EROFS: 'the file system is read-only',
    ENOTDIR: 'its folder is a file',
    EISDIR: 'it is a folder',
    EEXIST: 'its folder is a file',
    ENAMETOOLONG: 'its name is too long',
    EIO: 'the device failed',
  };
  if (error instanceof IpgraftError || code === undefined || !(code in why)) return error;
  return new IpgraftError(
    'OUTPUT_FAILED',
    `${basename(path)} was not written: ${why[code]}`,
    { file: basename(path), code },
    { cause: error },
  );
}
