import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { MAIN } from '../command.js';
import { freshFolder } from '../fixtures.js';

/** A repository of model files. */
export function repository(models: Readonly<Record<string, string>>): string {
  const folder = freshFolder();
  for (const [name, model] of Object.entries(models)) {
    const path = join(folder, name, '1', 'model.onnx');
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(model, path);
  }
  return folder;
}

/** `ipgraft serve` as a process of its own. */
export interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  /** Standard error as it comes. */
  readonly log: () => string;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/** Starts the bundled command line, and waits until it listens. */
export async function serve(folder: string, ...options: readonly string[]): Promise<Running> {
  const child = spawn(process.execPath, [MAIN, 'serve', folder, '--port', '0', '--json', ...options]);
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text;
  });
  const ended = once(child, 'exit').then(([code, signal]) => code ?? signal);
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line'),
    ended.then((code) => Promise.reject(new Error(`ended with ${code}: ${log}`))),
  ]);
  return { child, url: JSON.parse(line).url, log: () => log, ended };
}
