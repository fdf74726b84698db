import { lstat, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { IpgraftError } from '../errors.js';
import type { InputFile } from './input-file.js';
import { isInside, realPlace } from './real-place.js';
import { asOutputError, Drafts, type OutputFile, type WriteOptions } from './write-files.js';

/** How to put folders in their places. */
export interface PutOptions extends WriteOptions {
  /** Folders in a draft that are there without a file, each in one that has files. */
  readonly emptyFolders?: readonly string[];
  /** Judges what was written, before any folder takes its place. */
  readonly check?: () => Promise<void>;
}

/** The temporary name under which a folder is written, beside its place. */
export function draftOf(target: string): string {
  return join(dirname(target), `.${basename(target)}.${process.pid}.ipgraft`);
}

/**
 * Puts whole folders in their places, all of them or none: each is written under a temporary name, {@link draftOf}, and renamed when all files
 * are complete and judged good. `force` lets them take the places of folders that are there. `files` lie in the drafts, or where none of the
 * folders will be. When anything fails or is stopped, nothing is left and what was in their places stays there.
 * @throws IpgraftError `OUTPUT_EXISTS`, `OUTPUT_IS_INPUT`, as {@link Drafts.finish}, and what `check` throws
 */
export async function putFolders(
  targets: readonly string[],
  files: readonly OutputFile[],
  options: PutOptions = {},
): Promise<void> {
  const { force = false, inputs = [], signal, emptyFolders = [], check } = options;
  for (const target of targets) {
    await refuseExistingFolder(target, force);
    await refuseInputsIn(target, inputs);
  }
  const drafts = new Drafts(options);
  await drafts.finish(files, options);
  try {
    for (const folder of emptyFolders) await mkdir(folder);
    await check?.();
    signal?.throwIfAborted();
    await takePlaces(targets);
  } catch (error) {
    for (const folder of emptyFolders) await rmdir(folder).catch(() => {});
    await drafts.abandon();
    throw asOutputError(error, targets[0]!);
  }
}

async function takePlaces(targets: readonly string[]): Promise<void> {
  const oldOf = (target: string) => `${draftOf(target)}.old`;
  const done: { readonly from: string; readonly to: string }[] = [];
  const move = async (from: string, to: string) => {
    await rename(from, to);
    done.push({ from, to });
  };
  try {
    for (const target of targets) {
      if (await isThere(target)) await move(target, oldOf(target));
      await move(draftOf(target), target);
    }
  } catch (error) {
    for (const { from, to } of done.reverse()) await rename(to, from).catch(() => {});
    throw error;
  }
  // All are in their places: what is left of the old ones is no reason to undo that.
  for (const target of targets) await rm(oldOf(target), { recursive: true, force: true }).catch(() => {});
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

/** Refuses to replace a folder that holds what is read: it would be lost. @throws IpgraftError `OUTPUT_IS_INPUT` */
export async function refuseInputsIn(target: string, inputs: readonly InputFile[]): Promise<void> {
  const place = await realPlace(resolve(target));
  const input = inputs.find(({ path }) => isInside(place, path));
  if (input === undefined) return;
  const file = basename(target);
  throw new IpgraftError('OUTPUT_IS_INPUT', `${file} holds one of the inputs, ${basename(input.path)}`, {
    file,
  });
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}
