import { realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';

/** Whether a path is `folder` or lies below it; both with their links resolved. */
export function isInside(folder: string, path: string): boolean {
  return relative(folder, path).split(sep)[0] !== '..';
}

/** An absolute path with its links resolved as far as there is something; the last name as it stands: a link there is not followed. */
export async function realPlace(path: string): Promise<string> {
  const parent = dirname(path);
  if (parent === path) return path;
  try {
    return join(await realpath(parent), basename(path));
  } catch {
    return join(await realPlace(parent), basename(path));
  }
}
