import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { MAIN } from '../command.js';
import { freshFolder } from '../fixtures.js';

/** A folder of copies of model files, by name, each as version 1 with its data files beside it. */
export function repositoryOf(models: Readonly<Record<string, string>>): string {
  const folder = freshFolder();
  for (const [name, model] of Object.entries(models)) {
    const to = join(folder, name, '1');
    mkdirSync(to, { recursive: true });
    copyFileSync(model, join(to, 'model.onnx'));
    const data = readdirSync(dirname(model)).filter((file) => file.startsWith(`${basename(model)}_`));
    for (const file of data) copyFileSync(join(dirname(model), file), join(to, file));
  }
  return folder;
}

/** The command line `ipgraft serve` in a process of its own. */
export interface ServeProcess {
  readonly child: ChildProcess;
  readonly url: string;
  /** Standard error as it comes. */
  readonly log: () => string;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/** Starts the bundled command line, and waits until it listens. */
export async function serve(folder: string, ...options: readonly string[]): Promise<ServeProcess> {
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

/** Adds 1 to 0, n times, with {@link countingModel}: a thousand a millisecond or so. */
export const counting = (n: number) => ({
  inputs: [
    { name: 'n', datatype: 'INT64', shape: [], data: [n] },
    { name: 'x', datatype: 'FP32', shape: [1], data: [0] },
  ],
});
