import { join } from 'node:path';
import { type CompileOptions, compile, type PatchedModel } from '../runtime/compile.js';
import { type AdapterOptions, type OpenedModel, openAdapters, openModel } from '../runtime/open.js';
import { type WritePatchedOptions, writePatched } from '../runtime/write-patched.js';
import { freshFolder } from './fixtures.js';

export interface PatchedFile {
  readonly path: string;
  readonly patched: PatchedModel;
}

/** How to compile, and how to read the adapters. */
export type KindOptions = CompileOptions & AdapterOptions;

/** Compiles a model file into a new folder and writes it there; the open files are closed afterwards. */
export async function patchFile(
  model: string,
  adapters: readonly string[],
  { shortcut, ...options }: KindOptions = {},
  writing: WritePatchedOptions = {},
): Promise<PatchedFile> {
  const opened: OpenedModel = await openModel(model);
  const how = shortcut === undefined ? {} : { shortcut };
  const openedAdapters = (await Promise.all(adapters.map((path) => openAdapters(path, how)))).flat();
  try {
    const patched = await compile(opened, {
      ...options,
      ...(adapters.length > 0 && { adapters: openedAdapters }),
    });
    const path = join(freshFolder(), 'patched.onnx');
    await writePatched(patched, path, writing);
    return { path, patched };
  } finally {
    await Promise.all([opened, ...openedAdapters].map((file) => file.close()));
  }
}
