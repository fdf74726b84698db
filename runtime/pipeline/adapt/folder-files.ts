import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Entry, entryAt, folderFault } from '../folder/inside.js';

/** A file of a folder. */
export interface FolderFile extends Entry {
  /** Its path below the folder. */
  readonly name: string;
}

/** What may lie in the place of a file. */
const NOT_FILES = {
  nothing: 'a broken link',
  folder: 'a link to a folder',
  other: 'something else, a pipe for example',
} as const;

/**
 * Every file below a folder whose links are resolved, sorted by name. Hidden folders, which version control and downloads keep beside what is
 * theirs, are left out.
 * @throws IpgraftError `MODEL_FOLDER_ESCAPES` for a link that leads out, `MODEL_FOLDER_FILE` for what is neither file nor folder
 */
export async function filesBelow(root: string, folder = ''): Promise<FolderFile[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  const found = await Promise.all(
    entries
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(async (entry) => {
        const name = join(folder, entry.name);
        if (entry.isDirectory()) return entry.name.startsWith('.') ? [] : filesBelow(root, name);
        const target = await entryAt(root, name);
        if (target?.kind === 'file') return [{ ...target, name }];
        throw folderFault(name, `sought a file, found ${NOT_FILES[target?.kind ?? 'nothing']}`);
      }),
  );
  return found.flat();
}
