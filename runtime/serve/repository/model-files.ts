import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import { configFault } from '../config/config-fault.js';
import { type ModelConfig, NO_CONFIG } from '../config/model-config.js';
import { hasConfig, readConfig } from '../config/read-config.js';

/** The version of a model in a repository that is served. */
export interface ModelFiles {
  readonly name: string;
  /** Digits, as the folder's name has them. */
  readonly version: string;
  /** Of its ONNX file; an ensemble has none. */
  readonly path: string;
  readonly config: ModelConfig;
}

/** A model of a repository, or why it cannot be served. */
export type FoundModel = { readonly name: string } & (
  | { readonly files: ModelFiles }
  | { readonly fault: IpgraftError }
);

/** A model's name: also the name of its folder, so that none leads out of the repository. */
const NAME = /^[A-Za-z0-9][\w.-]{0,127}$/;
const VERSION = /^[1-9]\d{0,17}$/;

/** Whether a text is a model's name: letters, digits, `_`, `.` and `-`, 128 at most, the first a letter or a digit. */
export function isModelName(text: string): boolean {
  return NAME.test(text);
}

/**
 * Every model of a repository: folders DIR/MODEL/VERSION/model.onnx, and ensembles, which are a DIR/MODEL/config.pbtxt alone.
 * @param mayBeEmpty whether there need be none
 * @throws IpgraftError `SERVER_REPOSITORY` when the folder cannot be read or holds no model
 */
export async function listModels(repository: string, mayBeEmpty = false): Promise<FoundModel[]> {
  const models = await Promise.all(
    (await foldersOf(repository)).map(async (name): Promise<FoundModel | undefined> => {
      try {
        const files = await findModel(repository, name);
        return files && { name, files };
      } catch (error) {
        if (error instanceof IpgraftError) return { name, fault: error };
        throw error;
      }
    }),
  );
  const found = models.filter((each) => each !== undefined);
  if (found.length > 0 || mayBeEmpty) return found;
  throw new IpgraftError(
    'SERVER_REPOSITORY',
    `${printable(repository)}: sought MODEL/VERSION/model.onnx or PIPELINE/model_index.json, found no such file`,
  );
}

/**
 * The names of the models that {@link listModels} lists, without a look into their configurations.
 * @throws IpgraftError `SERVER_REPOSITORY` when the folder cannot be read
 */
export async function modelNames(repository: string): Promise<string[]> {
  const names = await foldersOf(repository);
  const isModel = await Promise.all(
    names.map(async (name) => {
      const folder = join(repository, name);
      return (await hasConfig(folder)) || (await servedFile(folder, NO_CONFIG)) !== undefined;
    }),
  );
  return names.filter((_, i) => isModel[i]);
}

async function foldersOf(repository: string): Promise<string[]> {
  try {
    return (await readdir(repository)).filter(isModelName).sort();
  } catch (cause) {
    throw new IpgraftError(
      'SERVER_REPOSITORY',
      `${printable(repository)} cannot be read as a folder`,
      {},
      { cause },
    );
  }
}

/**
 * The version of one model that is served, the highest that its configuration allows; `undefined` when there is no model. The name must be one
 * by {@link isModelName}. `inFolder`: where its folder is called otherwise as yet.
 * @throws IpgraftError `SERVER_CONFIG` for a configuration that cannot be served, or has no file
 */
export async function findModel(
  repository: string,
  name: string,
  inFolder = name,
): Promise<ModelFiles | undefined> {
  const folder = join(repository, inFolder);
  const config = await readConfig(folder, name);
  if (config.isEnsemble) return { name, version: (await versionsOf(folder))[0] ?? '1', path: '', config };
  const served = await servedFile(folder, config);
  if (served !== undefined) return { name, ...served, config };
  if (config === NO_CONFIG) return undefined;
  throw configFault(
    name,
    `sought ${config.versions?.join(' or ') ?? 'VERSION'}/${config.filename}, found no such file`,
  );
}

/** The versions in a model's folder, the highest first. */
async function versionsOf(folder: string): Promise<string[]> {
  return (
    (await readdir(folder).catch(() => []))
      .filter((each) => VERSION.test(each))
      // As numbers: 10 is after 9.
      .sort((a, b) => b.length - a.length || (a < b ? 1 : -1))
  );
}

async function servedFile(
  folder: string,
  config: ModelConfig,
): Promise<Pick<ModelFiles, 'version' | 'path'> | undefined> {
  for (const version of await versionsOf(folder)) {
    if (config.versions?.includes(version) === false) continue;
    const path = await modelFile(join(folder, version, config.filename));
    if (path !== undefined) return { version, path };
  }
  return undefined;
}

/** A model of several files may be a folder with the name of the one and `model.onnx` in it. */
async function modelFile(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return path;
  const inside = join(path, 'model.onnx');
  return found?.isDirectory() && (await stat(inside).catch(() => undefined))?.isFile() ? inside : undefined;
}
