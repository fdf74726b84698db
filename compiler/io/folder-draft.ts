import { lstat, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { IpgraftError } from '../errors.js';
import { asOutputError, Drafts, type OutputFile, type WriteOptions } from './write-files.js';

/**
 * A whole folder, written under a temporary name beside its place and renamed when all its files are complete: it is there with all of them
 * or not at all.
 */
export class FolderDraft {
  /** Where its files are to be written: the folder's temporary name. */
  readonly path: string;
  private readonly target: string;
  private readonly options: Pick<WriteOptions, 'force' | 'signal'>;

  /** `target` is where it will be; `force` lets it take the place of a folder that is there. */
  constructor(target: string, options: Pick<WriteOptions, 'force' | 'signal'>) {
    this.target = target;
    this.options = options;
    this.path = join(dirname(target), `.${basename(target)}.${process.pid}.ipgraft`);
  }

  /**
   * Writes files, whose paths lie below {@link path} or where the folder will not be, and puts the folder in its place. When anything fails or is stopped, nothing is left and
   * what was in its place stays there.
   * @throws IpgraftError `OUTPUT_EXISTS`, and as {@link Drafts.finish}
   */
  async finish(
    files: readonly OutputFile[],
    options: Pick<WriteOptions, 'inputs' | 'onProgress'>,
  ): Promise<void> {
    const { force = false, signal } = this.options;
    await refuseExistingFolder(this.target, force);
    const drafts = new Drafts(this.options);
    await drafts.finish(files, options);
    try {
      signal?.throwIfAborted();
      await this.takePlace();
    } catch (error) {
      await drafts.abandon();
      throw asOutputError(error, this.target);
    }
  }

  private async takePlace(): Promise<void> {
    const old = `${this.path}.old`;
    const replaces = await isThere(this.target);
    if (replaces) await rename(this.target, old);
    try {
      await rename(this.path, this.target);
    } catch (error) {
      if (replaces) await rename(old, this.target);
      throw error;
    }
    await rm(old, { recursive: true, force: true });
  }
}

/**
 * Refuses a folder early that would be refused when it is written. An empty one is no obstacle.
 * @throws IpgraftError `OUTPUT_EXISTS`, `OUTPUT_FAILED` when it is no folder
 */
export async function refuseExistingFolder(path: string, force: boolean): Promise<void> {
  const folder = basename(path);
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isDirectory())
    throw new IpgraftError('OUTPUT_FAILED', `${folder} was not written: it is no folder`, { file: folder });
  if (force || (await readdir(path)).length === 0) return;
  throw new IpgraftError('OUTPUT_EXISTS', `${folder} exists already`, { file: folder });
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}
