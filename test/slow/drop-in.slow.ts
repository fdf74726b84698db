import assert from 'node:assert/strict';
import { cpSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../runtime/cli/run.js';
import { EMBEDDING, writeEncoder } from '../adapt/pipelines.js';
import { fixturePath, freshFolder } from '../fixtures.js';
import { unpackPipeline } from '../pipeline/unpacked.js';
import { type PythonEnvironment, pythonEnvironment, runJson } from './python.js';

describe('drop-in for pipelines that know nothing of IP-Adapters', () => {
  let environment: PythonEnvironment;

  before(function () {
    environment = pythonEnvironment('drop-in', fixturePath('generate', 'requirements-pipeline.txt'));
    if ('missing' in environment) {
      console.log(`    skipped: the Python packages cannot be installed (${environment.missing})`);
      this.skip();
    }
  });

  it('optimum’s ORTStableDiffusionPipeline draws what diffusers draws, four guided steps', async () => {
    assert.ok('python' in environment);
    const folder = unpackPipeline();
    const unet = join(folder, 'onnx', 'unet', 'model.onnx');
    const patched = join(freshFolder(), 'model.onnx');
    const code = await run([
      'compile',
      unet,
      '-a',
      join(folder, 'adapter.safetensors'),
      '-o',
      patched,
      '--scale',
      'optional=0.6',
      '--json',
    ]);
    assert.equal(code, 0);
    cpSync(patched, unet);
    assertDrawn(environment.python, folder);
  });

  it('optimum loads a folder that adapt wrote, its image encoder and all, and draws the same', async () => {
    assert.ok('python' in environment);
    const folder = unpackPipeline();
    const base = join(folder, 'base');
    renameSync(join(folder, 'onnx'), base);
    const encoder = join(folder, 'clip');
    writeEncoder(encoder, { image_embeds: EMBEDDING }, { image_size: 32 });
    const adapter = join(folder, 'adapter.safetensors');
    const code = await run([
      'adapt',
      base,
      '-a',
      adapter,
      '-o',
      join(folder, 'onnx'),
      '--scale',
      'optional=0.6',
      '--image-encoder',
      encoder,
      '--json',
    ]);
    assert.equal(code, 0);
    assertDrawn(environment.python, folder);
  });
});

/** That optimum draws with the folder `onnx` what diffusers drew. */
function assertDrawn(python: string, folder: string): void {
  const found = runJson(python, [fixturePath('generate', 'dropin.py'), folder]) as Record<string, number>;
  console.log(
    `    largest difference ${found.largest_difference!.toExponential(2)}, effect ${found.effect!.toFixed(2)}`,
  );
  assert.ok(found.largest_difference! <= 1e-4, `${found.largest_difference}`);
  assert.ok(found.effect! >= 1, `${found.effect}`);
}
