import { join } from 'node:path';
import { type CompileOptions, compile, type PatchedModel } from '../runtime/compile.js';
import { type OpenedAdapter, type OpenedModel, openAdapter, openModel } from '../runtime/open.js';
import { type WritePatchedOptions, writePatched } from '../runtime/write-patched.js';
import { freshFolder } from './fixtures.js';

export interface PatchedFile {
  readonly path: string;
  readonly patched: PatchedModel;
}

/** Compiles a model file into a new folder and writes it there; the open files are closed afterwards. */
export async function patchFile(
  model: string,
  adapters: readonly string[],
  options: CompileOptions = {},
  writing: WritePatchedOptions = {},
): Promise<PatchedFile> {
  const opened: OpenedModel = await openModel(model);
  const openedAdapters: OpenedAdapter[] = await Promise.all(adapters.map((path) => openAdapter(path)));
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
