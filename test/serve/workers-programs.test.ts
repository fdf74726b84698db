import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { freshFolder } from '../fixtures.js';
import { isAlive, until, workersOf } from './processes.js';
import { countingModel } from './small-models.js';

const DIST = join(process.cwd(), 'dist');
const PROGRAM = join(DIST, 'test', 'serve', 'serve-program.js');
/** With the worker of the command line beside it, as the command line has it. */
const BUNDLED = join(DIST, 'test', 'serve', 'bundled', 'serve-program.cjs');

/** Starts a program, and answers when it has printed its first line. */
async function started(program: string, ...args: string[]): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr!.resume();
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, line: line.toString() };
}

describe('programs that serve a model', () => {
  const model = countingModel();
  before(async () => {
    const bundler = pathToFileURL(join('runtime', 'cli', 'bundle-program.mjs')).href;
    const { bundleProgram } = (await import(bundler)) as {
      bundleProgram(entry: string, outfile: string): Promise<string[]>;
    };
    await bundleProgram(PROGRAM, BUNDLED);
    copyFileSync(join(DIST, 'ipgraft.worker.cjs'), join(dirname(BUNDLED), 'ipgraft.worker.cjs'));
  });

  for (const [kind, program] of [
    ['of modules', PROGRAM],
    ['of one file', BUNDLED],
  ] as const) {
    it(`print what is theirs and end when they close: ${kind}`, async () => {
      const { child, line } = await started(program, model);
      assert.equal(line, '[5]\n');
      const [code] = await once(child, 'exit');
      assert.equal(code, 0);
    });

    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      it(`leave no worker behind, in the middle of a run, when ${signal} ends them: ${kind}`, async () => {
        const { child } = await started(program, model, String(10n ** 15n));
        const workers = workersOf(child.pid);
        assert.equal(workers.length, 1);
        // The run has begun by then.
        await delay(100);
        child.kill(signal);
        await until(() => workers.every((pid) => !isAlive(pid)));
      });
    }
  }

  it('say that onnxruntime-node is missing where it is', () => {
    const folder = freshFolder();
    cpSync(dirname(BUNDLED), folder, { recursive: true });
    const { status, stderr } = spawnSync(process.execPath, [join(folder, basename(BUNDLED)), model], {
      encoding: 'utf8',
    });
    assert.equal(status, 1);
    assert.match(stderr, /RUNTIME_MISSING/);
  });

  it('keep their workers when a Ctrl-C reaches all of a terminal: it is theirs to stop', async () => {
    const { child } = await started(PROGRAM, model, String(10n ** 15n));
    const [worker] = workersOf(child.pid);
    process.kill(worker!, 'SIGINT');
    process.kill(worker!, 'SIGTERM');
    await delay(200);
    assert.ok(isAlive(worker!));
    child.kill();
    await until(() => !isAlive(worker!));
  });
});
