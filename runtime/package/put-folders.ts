import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { IpgraftError } from '../../compiler/errors.js';
import type { InputFile } from '../../compiler/io/input-file.js';
import {
  asOutputError,
  type OutputFile,
  type WriteOptions,
  writeFiles,
} from '../../compiler/io/write-files.js';

/** A folder to write into another. */
export interface NewFolder {
  readonly name: string;
  /** Folders in it that are there without a file. */
  readonly folders?: readonly string[];
  /** Its files where it lies in `folder`. */
  files(folder: string): Promise<readonly OutputFile[]>;
}

/** How to put them there. */
export interface PutOptions extends WriteOptions {
  readonly inputs: readonly InputFile[];
  /** Judges what was written, before any folder takes its name; `draftOf`: what each is called until then. */
  check(draftOf: (name: string) => string): Promise<void>;
}

/**
 * Puts folders that belong together into `parent`, all of them or none: each is written under a temporary name, and takes its own when all are
 * complete and judged good. With `force` one that exists is replaced as a whole. Answers with the files of each.
 * @throws IpgraftError `OUTPUT_EXISTS`, `OUTPUT_FAILED`, `OUTPUT_IS_INPUT`, `OUTPUT_INPUT_CHANGED`, and what `check` throws
 */
export async function putFolders(
  parent: string,
  folders: readonly NewFolder[],
  { check, force = false, inputs, ...options }: PutOptions,
): Promise<{ readonly name: string; readonly bytes: number }[][]> {
  const draftOf = (name: string) => `.${name}.${process.pid}.ipgraft`;
  const oldOf = (name: string) => `.${name}.${process.pid}.old`;
  for (const { name } of folders) await refuseTaken(parent, name, force, inputs);
  const remove = (path: string) => rm(path, { recursive: true, force: true }).catch(() => {});
  let made: string | undefined;
  const inPlace: string[] = [];
  const aside: string[] = [];
  try {
    made = await mkdir(parent, { recursive: true });
    const files = await Promise.all(
      folders.map(async (folder) => {
        const draft = join(parent, draftOf(folder.name));
        for (const inner of folder.folders ?? []) await mkdir(join(draft, inner), { recursive: true });
        return folder.files(draft);
      }),
    );
    await writeFiles(files.flat(), { ...options, inputs });
    await check(draftOf);
    for (const { name } of folders) {
      if (await exists(join(parent, name))) {
        await rename(join(parent, name), join(parent, oldOf(name)));
        aside.push(name);
      }
      await rename(join(parent, draftOf(name)), join(parent, name));
      inPlace.push(name);
    }
    // All are in their places: what is left of the old ones is no reason to undo that.
    for (const name of aside) await remove(join(parent, oldOf(name)));
    return files.map((list, index) =>
      list.map((file) => named(file, join(parent, draftOf(folders[index]!.name)))),
    );
  } catch (error) {
    for (const { name } of folders) await remove(join(parent, draftOf(name)));
    for (const name of inPlace) await remove(join(parent, name));
    for (const name of aside) await rename(join(parent, oldOf(name)), join(parent, name)).catch(() => {});
    if (made !== undefined) await remove(made);
    throw asOutputError(error, parent);
  }
}

/** `1/model.onnx` of a file that lies there in a folder. */
function named(
  { path, content }: OutputFile,
  folder: string,
): { readonly name: string; readonly bytes: number } {
  return { name: relative(folder, path), bytes: 'copyOf' in content ? content.size : content.length };
}

async function refuseTaken(
  parent: string,
  name: string,
  force: boolean,
  inputs: readonly InputFile[],
): Promise<void> {
  const folder = resolve(parent, name);
  if (!(await exists(folder))) return;
  if (!force)
    throw new IpgraftError('OUTPUT_EXISTS', `${name} exists already in the repository`, { file: name });
  if (!(await stat(folder)).isDirectory())
    throw new IpgraftError('OUTPUT_FAILED', `${name} was not written: it is no folder`, { file: name });
  // It would be gone before it was read.
  const input = inputs.find(({ path }) => isInside(path, folder));
  if (input !== undefined)
    throw new IpgraftError('OUTPUT_IS_INPUT', `${name} holds one of the inputs`, { file: name });
}

function isInside(path: string, folder: string): boolean {
  for (let at = dirname(path); ; at = dirname(at)) {
    if (at === folder) return true;
    if (at === dirname(at)) return false;
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
