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

/** How many bytes will be written. */
export function sizeOf(content: OutputFile['content']): number {
  return 'copyOf' in content ? content.size : content.length;
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

/** Writes files that belong together, all of them or none: see {@link Drafts}. @throws as {@link Drafts.finish} */
export async function writeFiles(files: readonly OutputFile[], options: WriteOptions = {}): Promise<void> {
  await new Drafts(options).finish(files, options);
}

interface Draft {
  readonly path: string;
  /** Never rejects: what went wrong is told by {@link Drafts.stop}. */
  readonly written: Promise<void>;
  /** Ends with its first bytes, or before them when there are none. */
  readonly underWay: Promise<void>;
}

/**
 * Files that belong together, on their way to the disk: each is written under a temporary name, and renamed when all are complete, in the
 * given order. When anything fails no file and no folder is left, and none is changed; only should a rename fail after others
 * have replaced files (`force`), those stay replaced.
 */
export class Drafts {
  private readonly options: Pick<WriteOptions, 'force' | 'signal'>;
  /** By the resolved path of what they will be. */
  private readonly drafts = new Map<string, Draft>();
  private readonly madeFolders = new Set<string>();
  private readonly inPlace: string[] = [];
  /** The first to fail stops the others. */
  private readonly stop = new AbortController();
  private done = 0;
  private onDone: (done: number) => void = () => {};

  constructor(options: Pick<WriteOptions, 'force' | 'signal'>) {
    this.options = options;
  }

  /**
   * Begins to write a file while the others are still thought about; answers when that is under way. Whoever calls this calls {@link finish}
   * or {@link abandon} in the end.
   * @throws IpgraftError as {@link finish}; what goes wrong later is thrown there
   */
  async begin(file: OutputFile, inputs: readonly InputFile[]): Promise<void> {
    await this.check([file], inputs);
    const { underWay } = await this.start(file);
    await underWay;
  }

  /**
   * Writes `files`, those that were begun among them, and puts all in their places.
   * @throws IpgraftError `OUTPUT_EXISTS`, `OUTPUT_IS_INPUT`, `OUTPUT_INPUT_CHANGED`, `OUTPUT_FAILED` (disk full, no permission),
   *   `OPTION_INVALID` when two outputs are one file
   */
  async finish(
    files: readonly OutputFile[],
    { inputs = [], onProgress }: Pick<WriteOptions, 'inputs' | 'onProgress'>,
  ): Promise<void> {
    const sizes = files.map(({ content }) => sizeOf(content));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    this.onDone = (done) => onProgress?.(done, total);
    try {
      await this.check(files, inputs);
      // All at once: while the kernel copies one, another is made here.
      for (const file of files) if (!this.drafts.has(resolve(file.path))) await this.start(file);
      await Promise.all([...this.drafts.values()].map(({ written }) => written));
      this.stop.signal.throwIfAborted();
      this.options.signal?.throwIfAborted();
      await refuseChanged(inputs);
      for (const { path } of files) {
        const replaces = (await identity(path)) !== null;
        await rename(this.drafts.get(resolve(path))!.path, path);
        if (!replaces) this.inPlace.push(path);
      }
    } catch (error) {
      await this.abandon();
      throw asOutputError(error, files[0]?.path ?? '');
    }
  }

  /** Stops all work and leaves nothing behind. */
  async abandon(): Promise<void> {
    this.stop.abort();
    const drafts = [...this.drafts.values()];
    await Promise.all(drafts.map(({ written }) => written));
    // What cannot be removed was never made.
    const files = [...drafts.map(({ path }) => path), ...this.inPlace];
    await Promise.allSettled(files.map((file) => rm(file, { force: true })));
    // Deepest first; one that is not empty holds what somebody else put there, and stays.
    for (const folder of [...this.madeFolders].sort((a, b) => b.length - a.length))
      await rmdir(folder).catch(() => {});
  }

  private async check(files: readonly OutputFile[], inputs: readonly InputFile[]): Promise<void> {
    refuseTwins(files);
    await refuseInputs(files, inputs);
    for (const { path } of files) await refuseExisting(path, this.options.force === true);
  }

  private async start({ path, content }: OutputFile): Promise<Draft> {
    const topmost = await mkdir(dirname(path), { recursive: true });
    if (topmost !== undefined)
      for (const folder of upTo(topmost, dirname(path))) this.madeFolders.add(folder);
    const draft = join(dirname(path), `.${basename(path)}.${process.pid}.ipgraft`);
    let isUnderWay = () => {};
    const reported = new Promise<void>((resolve) => {
      isUnderWay = resolve;
    });
    const onWritten = (bytes: number): void => {
      isUnderWay();
      this.options.signal?.throwIfAborted();
      this.stop.signal.throwIfAborted();
      this.done += bytes;
      this.onDone(this.done);
    };
    const writing =
      'copyOf' in content
        ? copyWhole(content.copyOf, draft, onWritten)
        : writeRope(draft, content, onWritten);
    const written = writing.catch((error) => this.stop.abort(asOutputError(error, path)));
    const made = { path: draft, written, underWay: Promise.race([reported, written]) };
    this.drafts.set(resolve(path), made);
    return made;
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

/** Refuses an output early that would be refused when it is written. @throws IpgraftError `OUTPUT_EXISTS`, `OUTPUT_FAILED` */
export async function refuseExisting(path: string, force: boolean): Promise<void> {
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
export function asOutputError(error: unknown, path: string): unknown {
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
