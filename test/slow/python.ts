import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A Python environment of the checkout's own, or why there is none. */
export type PythonEnvironment = { readonly python: string } | { readonly missing: string };

/** Makes `.venv/NAME` once and installs `requirements` into it. */
export function pythonEnvironment(name: string, requirements: string): PythonEnvironment {
  const folder = join(process.cwd(), '.venv', name);
  const python = join(folder, 'bin', 'python');
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return { python };
  mkdirSync(folder, { recursive: true });
  const steps: [string, string[]][] = [
    ['python3', ['-m', 'venv', folder]],
    [python, ['-m', 'pip', 'install', '--quiet', '-r', requirements]],
  ];
  for (const [command, args] of steps) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0)
      return { missing: error?.message ?? stderr.trim().split('\n').at(-1) ?? `${command} failed` };
  }
  writeFileSync(complete, '');
  return { python };
}

/** Runs a script and answers with the JSON of the last line that it prints. */
export function runJson(python: string, args: readonly string[]): unknown {
  const { status, stdout, stderr } = spawnSync(python, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${args[0]} ended with ${status}: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}
