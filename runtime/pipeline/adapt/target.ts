import { basename, resolve } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { refuseExistingFolder } from '../../../compiler/io/folder-draft.js';
import { isInside, realPlace } from '../../../compiler/io/real-place.js';
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
  const target = await realPlace(resolve(output));
  if (isInside(folder.path, target) || isInside(target, folder.path))
    throw new IpgraftError(
      'OUTPUT_IS_INPUT',
      `${basename(target)} is, holds or lies in the folder that is adapted`,
      { file: basename(target) },
    );
  const replaces = force && (await isAdapted(target));
  await refuseExistingFolder(target, replaces);
  return target;
}

/** Refuses a file that would be written into the folder before that is there. @throws IpgraftError `OPTION_INVALID` */
export async function refuseInside(target: string, option: string, path: string): Promise<void> {
  if (!isInside(target, await realPlace(resolve(path)))) return;
  throw new IpgraftError('OPTION_INVALID', `${option}: sought a file outside the folder that is written`);
}

async function isAdapted(target: string): Promise<boolean> {
  try {
    return (await readPipelineFolder(target)).adaptation !== null;
  } catch {
    // Whatever else it is, it is not ours to remove.
    return false;
  }
}
