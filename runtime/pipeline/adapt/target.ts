import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { refuseExistingFolder } from '../../../compiler/io/folder-draft.js';
import type { InputFile } from '../../../compiler/io/input-file.js';
import { isInside } from '../folder/inside.js';
import { type PipelineFolder, readPipelineFolder } from '../folder/pipeline-folder.js';

/**
 * Where an adapted folder goes, links resolved as far as there is something. `force` lets it take the place of another adapted folder, and of
 * nothing else.
 * @throws IpgraftError `OUTPUT_IS_INPUT` when it is, holds or lies in the base, `OUTPUT_EXISTS`, `OUTPUT_FAILED`
 */
export async function targetFolder(
  folder: Pick<PipelineFolder, 'path'>,
  output: string,
  force: boolean,
): Promise<string> {
  const target = await realTarget(resolve(output));
  if (isInside(folder.path, target) || isInside(target, folder.path))
    throw isInput(target, 'is, holds or lies in the folder that is adapted');
  const replaces = force && (await isAdapted(target));
  await refuseExistingFolder(target, replaces);
  return target;
}

/** Refuses to replace a folder that holds what is read. @throws IpgraftError `OUTPUT_IS_INPUT` */
export function refuseInputsIn(target: string, inputs: readonly InputFile[]): void {
  const input = inputs.find(({ path }) => isInside(target, path));
  if (input !== undefined) throw isInput(target, `holds one of the inputs, ${basename(input.path)}`);
}

/** Refuses a file that would be written into the folder before that is there. @throws IpgraftError `OPTION_INVALID` */
export async function refuseInside(target: string, option: string, path: string): Promise<void> {
  if (!isInside(target, await realTarget(resolve(path)))) return;
  throw new IpgraftError('OPTION_INVALID', `${option}: sought a file outside the folder that is written`);
}

function isInput(target: string, how: string): IpgraftError {
  const file = basename(target);
  return new IpgraftError('OUTPUT_IS_INPUT', `${file} ${how}`, { file });
}

async function isAdapted(target: string): Promise<boolean> {
  try {
    return (await readPipelineFolder(target)).adaptation !== null;
  } catch {
    // Whatever else it is, it is not ours to remove.
    return false;
  }
}

/** The last name as it stands: a link there is not followed. */
async function realTarget(path: string): Promise<string> {
  const parent = dirname(path);
  if (parent === path) return path;
  try {
    return join(await realpath(parent), basename(path));
  } catch {
    return join(await realTarget(parent), basename(path));
  }
}
