import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';

/** The newest version of a model in a repository. */
export interface ModelFiles {
  readonly name: string;
  /** Digits, as the folder's name has them. */
  readonly version: string;
  /** Of its model.onnx. */
  readonly path: string;
}

/** A model's name: also the name of its folder, so that none leads out of the repository. */
const NAME = /^[A-Za-z0-9][\w.-]{0,127}$/;
const VERSION = /^[1-9]\d{0,17}$/;

/** Whether a text is a model's name: letters, digits, `_`, `.` and `-`, 128 at most, the first a letter or a digit. */
export function isModelName(text: string): boolean {
  return NAME.test(text);
}

/**
 * Every model of a repository: folders DIR/MODEL/VERSION/model.onnx, of each the highest version.
 * @throws IpgraftError `SERVER_REPOSITORY` when the folder cannot be read or holds no model
 */
export async function listModels(repository: string): Promise<ModelFiles[]> {
  let names: string[];
  try {
    names = await readdir(repository);
  } catch (cause) {
    throw new IpgraftError(
      'SERVER_REPOSITORY',
      `${printable(repository)} cannot be read as a folder`,
      {},
      { cause },
    );
  }
  const models = await Promise.all(
    names
      .filter(isModelName)
      .sort()
      .map((name) => findModel(repository, name)),
  );
  const found = models.filter((each) => each !== undefined);
  if (found.length > 0) return found;
  throw new IpgraftError(
    'SERVER_REPOSITORY',
    `${printable(repository)}: sought MODEL/VERSION/model.onnx, found no such file`,
  );
}

/** The newest version of one model; `undefined` when there is none. The name must be one by {@link isModelName}. */
export async function findModel(repository: string, name: string): Promise<ModelFiles | undefined> {
  const folder = join(repository, name);
  const versions = (await readdir(folder).catch(() => [])).filter((each) => VERSION.test(each));
  // As numbers: 10 is after 9.
  for (const version of versions.sort((a, b) => b.length - a.length || (a < b ? 1 : -1))) {
    const path = join(folder, version, 'model.onnx');
    if ((await stat(path).catch(() => undefined))?.isFile()) return { name, version, path };
  }
  return undefined;
}
