import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { IpgraftError } from '../errors.js';
import { type FileSource, openFile } from './file-source.js';
import { checkLocation, type ModelFolder } from './model-folder.js';
import { isInside } from './real-place.js';

/** What the file system says when a name leads to no file. */
const NOT_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP']);

/** The folder of a model file on disk. A symbolic link that leads out of it is refused, as every ONNX runtime does. */
export function fileFolder(path: string): ModelFolder {
  const opened = new Map<string, FileSource>();
  const resolve = async (location: string): Promise<string | null> => {
    checkLocation(location);
    try {
      const file = await realpath(join(path, location));
      if (isInside(await realpath(path), file)) return (await stat(file)).isFile() ? file : null;
    } catch (error) {
      if (NOT_THERE.has((error as NodeJS.ErrnoException).code ?? '')) return null;
      throw error;
    }
    throw new IpgraftError(
      'MODEL_EXTERNAL_ESCAPES',
      `${location} is a link that leaves the model's folder`,
      { location },
      {
        hint: 'Put the file itself there: download caches link to their blobs, a download into a plain folder does not.',
      },
    );
  };
  return {
    async size(location) {
      const file = await resolve(location);
      return file === null ? null : (await stat(file)).size;
    },
    async open(location) {
      const known = opened.get(location);
      if (known !== undefined) return known;
      const file = await resolve(location);
      if (file !== null) {
        const source = await openFile(file);
        opened.set(location, source);
        return source;
      }
      throw new IpgraftError(
        'MODEL_EXTERNAL_MISSING',
        `sought the data file ${location} beside the model, found none`,
        { location },
      );
    },
    async close() {
      await Promise.all([...opened.values()].map((source) => source.close()));
      opened.clear();
    },
  };
}
