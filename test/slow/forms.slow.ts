import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fixturePath, freshFolder } from '../fixtures.js';
import { COMMITTED, describeForms, formsIn } from '../form-checks.js';
import { pythonEnvironment } from './python.js';

describe('forms that the tools make now', () => {
  const folder = freshFolder();
  /** Files that need the environment of the fusion, where it cannot be made. */
  const leftOut = new Set<string>();
  /** What forms.py says of forms that it could not make. */
  let failures: readonly string[] = [];

  before(function () {
    const environment = pythonEnvironment('forms', fixturePath('generate', 'requirements-forms.txt'));
    if ('missing' in environment) {
      console.log(`    skipped: the Python packages cannot be installed (${environment.missing})`);
      return this.skip();
    }
    const fusion = pythonEnvironment('fusion', fixturePath('generate', 'requirements-fusion.txt'));
    if ('missing' in fusion) {
      console.log(`    without fusion: its Python packages cannot be installed (${fusion.missing})`);
    }
    const script = fixturePath('generate', 'forms.py');
    const options = 'python' in fusion ? ['--fusion', fusion.python] : [];
    const start = performance.now();
    const { stdout, stderr, error } = spawnSync(
      environment.python,
      [script, folder, freshFolder(), ...options],
      {
        encoding: 'utf8',
        // The exporters are talkative.
        maxBuffer: Number.POSITIVE_INFINITY,
      },
    );
    const seconds = (performance.now() - start) / 1000;
    // One form that fails is a test that fails; a script that makes nothing at all is told once, here.
    if (!existsSync(join(folder, 'forms.json'))) throw error ?? new Error(stderr.slice(-2000));
    console.log(`    ${formsIn(folder).length} forms made in ${seconds.toFixed(0)} s`);
    for (const [, name] of stdout.matchAll(/^(\S+) skipped: no --fusion$/gm)) leftOut.add(`${name}.onnx.gz`);
    failures = stdout.match(/^\S+ FAILED: .*$/gm) ?? [];
  });

  it('are those of the repository, and run where those run', () => {
    const forms = (from: string) => formsIn(from).map(({ file, runs_on_cpu }) => ({ file, runs_on_cpu }));
    const wanted = forms(COMMITTED).filter(({ file }) => !leftOut.has(file));
    assert.deepEqual(forms(folder), wanted, failures.join('\n') || undefined);
  });

  describeForms(folder, leftOut);
});
