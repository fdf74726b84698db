import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { isInside } from '../../../compiler/io/real-place.js';
import { printable } from '../../../compiler/printable.js';
import { parsePythonJson } from '../python-json.js';

/** Configurations have a few kilobytes. Bytes. */
const LONGEST_JSON = 1024 * 1024;

/** What the file system says when a name leads nowhere. */
const NOT_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR']);

/** What lies at a place of a folder. */
export interface Entry {
  /** With links resolved. */
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'other';
  /** Of a file, in bytes. */
  readonly size: number;
}

/** A value that was JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * What lies at `name` below `root`, whose own links are resolved; `null` when nothing does.
 * @throws IpgraftError `MODEL_FOLDER_ESCAPES` when a link leads out of the folder
 */
export async function entryAt(root: string, name: string): Promise<Entry | null> {
  try {
    const path = await realpath(join(root, name));
    if (!isInside(root, path)) throw escapes(name);
    const found = await stat(path);
    return {
      path,
      kind: found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other',
      size: found.size,
    };
  } catch (error) {
    if (NOT_THERE.has((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw asFolderError(error, name);
  }
}

/**
 * The JSON object in a file of the folder; `null` when there is no such file.
 * @throws IpgraftError `MODEL_FOLDER_FILE` when it is too long or no JSON object, `MODEL_FOLDER_ESCAPES`
 */
export async function readJson(root: string, name: string): Promise<JsonObject | null> {
  const entry = await entryAt(root, name);
  if (entry === null) return null;
  // Before it is opened: a pipe would be waited for.
  if (entry.kind !== 'file') throw folderFault(name, 'sought a file');
  if (entry.size > LONGEST_JSON)
    throw folderFault(name, `sought ${LONGEST_JSON} bytes at most, found ${entry.size}`);
  const bytes = await readFile(entry.path).catch((error) => {
    throw asFolderError(error, name);
  });
  return parseObject(bytes, name);
}

function parseObject(bytes: Uint8Array, name: string): JsonObject {
  let value: unknown;
  try {
    value = parsePythonJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw folderFault(name, 'it is no JSON', cause);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw folderFault(name, 'sought a JSON object');
}

/** A file of a pipeline's folder is not what it must be. */
export function folderFault(name: string, message: string, cause?: unknown): IpgraftError {
  const file = printable(name);
  return new IpgraftError('MODEL_FOLDER_FILE', `${file}: ${message}`, { file }, { cause });
}

/** A link leads out of the folder. */
export function escapes(name: string): IpgraftError {
  const file = printable(name);
  return new IpgraftError('MODEL_FOLDER_ESCAPES', `${file} is a link that leaves the folder`, { file });
}

function asFolderError(error: unknown, name: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof IpgraftError || code === undefined) return error;
  return folderFault(
    name,
    code === 'ELOOP' ? `${basename(name)} is a link to itself` : `it cannot be read: ${code}`,
    error,
  );
}
