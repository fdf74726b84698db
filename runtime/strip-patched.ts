import { type WriteOptions, writeFiles } from '../compiler/io/write-files.js';
import { strip } from '../compiler/strip.js';
import type { Rope } from '../compiler/wire/rope.js';
import { STAMP_KEYS } from '../passes/stamp-metadata.js';
import type { OpenedModel } from './open.js';

/**
 * The base of a patched model, as bytes that are read when they are written.
 * @throws IpgraftError `MODEL_NOT_PATCHED`, `VERIFY_BASE_CHANGED`
 */
export function restoreBase(opened: OpenedModel): Promise<Rope> {
  return strip(opened, opened.folder, STAMP_KEYS);
}

/**
 * Writes the base of a patched model, byte for byte the file that was compiled. External data files stay where they are.
 * @throws IpgraftError `MODEL_NOT_PATCHED`, `VERIFY_BASE_CHANGED`, `OUTPUT_*`
 */
export async function stripPatched(
  opened: OpenedModel,
  path: string,
  options: WriteOptions = {},
): Promise<{ bytes: number }> {
  const base = await restoreBase(opened);
  await writeFiles([{ path, content: base }], { ...options, inputs: opened.files });
  return { bytes: base.length };
}
