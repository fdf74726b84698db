import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type CompileOptions, compile, type PatchedModel } from '../runtime/compile.js';
import { diff } from '../runtime/diff.js';
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

/** What differs between a base and what was made of it is what it declares, and nothing else. */
export async function holdsProof(base: string, patched: string): Promise<void> {
  const [a, b] = [await openModel(base), await openModel(patched)];
  try {
    const { proof, changes } = await diff(a, b);
    assert.deepEqual([proof?.faults, proof?.unexplained.map((i) => changes[i])], [[], []]);
    assert.ok(proof?.holds);
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}
