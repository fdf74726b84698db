import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { configFault } from './config-fault.js';
import { type ModelConfig, NO_CONFIG } from './model-config.js';
import { parseConfig } from './parse-config.js';

const FILE = 'config.pbtxt';
/** A configuration is a few kilobytes. Bytes. */
const LONGEST = 256 * 1024;

/**
 * What the config.pbtxt in a model's folder says, if there is one.
 * @throws IpgraftError `SERVER_CONFIG`
 */
export async function readConfig(folder: string, model: string): Promise<ModelConfig> {
  const text = await readConfigText(folder, model);
  return text === undefined ? NO_CONFIG : parseConfig(text, model);
}

/** Whether a model's folder has a config.pbtxt, whatever it says. */
export async function hasConfig(folder: string): Promise<boolean> {
  return stat(join(folder, FILE)).then(
    () => true,
    // One that cannot be read is one.
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
  );
}

/** What it says, as text; `undefined` where there is none. @throws IpgraftError `SERVER_CONFIG` */
export async function readConfigText(folder: string, model: string): Promise<string | undefined> {
  const path = join(folder, FILE);
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw configFault(model, `it cannot be read: ${error.code}`, error);
  });
  if (found === undefined) return undefined;
  // Before it is opened: a pipe would be waited for.
  if (!found.isFile()) throw configFault(model, 'sought a file');
  if (found.size > LONGEST) throw configFault(model, `sought ${LONGEST} bytes at most, found ${found.size}`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    throw configFault(model, error instanceof TypeError ? 'it is not UTF-8' : 'it cannot be read', error);
  }
}
