import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MODEL_INDEX } from '../../pipeline/folder/model-index.js';
import { isModelName } from '../repository/model-files.js';

/** A folder with a pipeline in it. */
export interface FoundPipeline {
  readonly name: string;
  readonly path: string;
}

/**
 * The pipelines of a folder: each DIR/NAME with a `model_index.json`, called as it is; or the folder itself where it has one, called as it is
 * really called, without the letters that a model's name does not have. None where the folder cannot be read: who serves its models says so.
 */
export async function findPipelines(folder: string): Promise<FoundPipeline[]> {
  if (await isPipeline(folder)) return [{ name: fitName(basename(await realpath(folder))), path: folder }];
  const names = (await readdir(folder).catch(() => [])).filter(isModelName).sort();
  const found = await Promise.all(names.map((name) => isPipeline(join(folder, name))));
  return names.filter((_, i) => found[i]).map((name) => ({ name, path: join(folder, name) }));
}

async function isPipeline(folder: string): Promise<boolean> {
  const found = await stat(join(folder, MODEL_INDEX)).catch(() => undefined);
  return found?.isFile() === true;
}

function fitName(text: string): string {
  const fitted = text
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 128);
  return isModelName(fitted) ? fitted : 'pipeline';
}
