import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededInputs } from '../runtime/validate/seeded-inputs.js';
import type { Validation } from '../runtime/validate/validation.js';
import { ipgraft, placeModel } from './command.js';
import { adapterPath, fixturePath, formPath, freshFolder, modelPath } from './fixtures.js';
import { kindPath } from './kinds.js';
import { patchFile } from './patched.js';

const MODEL = 'sd15-sdpa-dynamo18';
const SHAPES = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];

/** Compiles with `options` and validates. */
async function validated(
  options: readonly string[],
): Promise<{ base: string; patched: string; code: number | null; found: Validation }> {
  const { folder, base } = placeModel(MODEL);
  const patched = join(folder, 'patched.onnx');
  const adapter = options.some((option) => /init|drop|^-a$/.test(option))
    ? []
    : ['-a', adapterPath('sd15', 'base')];
  const compiled = await ipgraft('compile', base, ...adapter, '-o', patched, ...options);
  assert.deepEqual([compiled.code, compiled.stderr], [0, '']);
  const { code, stdout, stderr } = await ipgraft('validate', base, patched, ...SHAPES, '--json');
  assert.equal(stderr, '');
  return { base, patched, code, found: JSON.parse(stdout) as Validation };
}

describe('ipgraft validate', () => {
  it('feeds an image for each row of the text, of which there may be more than of latents: frames', async () => {
    const adapter = fixturePath('forms', 'motion.adapter.safetensors');
    for (const scale of ['layers', 'rows']) {
      const { patched } = await patchFile(formPath('motion-classic-ts17'), [adapter], {
        tokens: 'input',
        scale,
      });
      const { ip_hidden_states: tokens, ip_scale: scales, sample } = seededInputs(patched.graph, 1);
      assert.deepEqual(sample!.dims, [2, 4, 2, 8, 8]);
      assert.deepEqual(tokens!.dims, [4, 4, 24]);
      assert.deepEqual(scales!.dims, [1, scale === 'rows' ? 4 : 16]);
    }
  });

  for (const options of [
    [],
    ['--tokens', 'input'],
    ['--tokens', 'embeds'],
    ['--scale', 'layers'],
    ['--scale', '0.6'],
    ['--scale', 'optional=0.6', '--tokens', 'input'],
    ['--init-from-text', '--num-tokens', '4'],
    ['--scale', 'rows', '--images', '2'],
    ['--masks', '--images', '2', '--tokens', 'embeds'],
    ['--hoist', '--tokens', 'input'],
    ['--weight-type', 'composition-precise'],
    ['--embeds-scaling', 'k+v'],
  ]) {
    it(`${options.join(' ') || 'without options'}: off is the base bit for bit, on is not`, async () => {
      const { code, found } = await validated(options);
      assert.equal(code, 0);
      const [undone, off, on] = found.checks;
      assert.deepEqual([undone!.passed, off!.passed, on!.passed], [true, true, true]);
      assert.equal(off!.difference, 0);
      assert.ok(on!.difference! > 1e-3, `${on!.difference}`);
      assert.equal(found.warnings.length, options.includes('--tokens') ? 0 : 1);
    });
  }

  it('warns of text alone in a split model, and measures what it does', async () => {
    const { found } = await validated([]);
    const [, moved] = /last 4 of them: on these inputs the result is off by (\S+)\.$/.exec(
      found.warnings[0]!,
    )!;
    assert.ok(Number(moved) > 1e-2, moved);
  });

  it('says that a baked scale with the projection inside cannot be switched off', async () => {
    const { code, found } = await validated(['--tokens', 'embeds', '--scale', '0.6']);
    assert.deepEqual([code, found.passed, found.checks[1]!.passed], [0, true, null]);
  });

  it('does not ask of a merged LoRA that it be off, and says what it does', async () => {
    const { code, found } = await validated(['-a', kindPath('faceid.adapter.bin')]);
    const [undone, off, on] = found.checks;
    assert.deepEqual([code, undone!.passed, off!.passed, on!.passed], [0, true, null, true]);
    assert.ok(off!.difference! > 1e-3);
    const without = await validated(['-a', kindPath('faceid.adapter.bin'), '--lora-scale', '0']);
    assert.deepEqual([without.code, without.found.checks[1]!.difference], [0, 0]);
  });

  it('where the mean of values is scaled, off is the base but for rounding', async () => {
    const { code, found } = await validated(['--embeds-scaling', 'k+mean-v-penalty']);
    assert.equal(code, 0);
    assert.ok(found.checks[1]!.difference! <= 1e-5);
  });

  it('a ControlNet’s image tokens change nothing', async () => {
    const { code, found } = await validated(['--drop-image-tokens', '4']);
    assert.deepEqual(
      [code, found.checks.map(({ passed }) => passed), found.warnings.length],
      [0, [true, true, null], 1],
    );
  });

  it('ends with 1 and names the check when a weight of the patched model was changed', async () => {
    const { base, patched } = await validated(['--weights', 'copy']);
    const bytes = readFileSync(patched);
    const original = readFileSync(base);
    // The bias of the last convolution: its bytes are in both files.
    const payload = original.subarray(original.indexOf('conv_out.bias'));
    const at = bytes.indexOf(payload.subarray(0, 32)) + 'conv_out.bias'.length;
    const value = bytes.subarray(at).findIndex((byte, i) => i > 2 && byte === 0x3e);
    bytes[at + value] = 0x40;
    writeFileSync(patched, bytes);
    const { code, stdout } = await ipgraft('validate', base, patched, ...SHAPES);
    assert.equal(code, 1);
    assert.match(stdout, /^FAILS {7}the edits undone, the base {2}\(VERIFY_BASE_CHANGED/m);
    assert.match(stdout, /^FAILS {7}the adapter off, the base’s numbers/m);
  });

  it('refuses another base, a model without a patch, and inputs that cannot be', async () => {
    const { base, patched } = await validated([]);
    const other = placeModel('sd15-classic-ts14').base;
    const refusals: [string[], string][] = [
      [[other, patched], 'VERIFY_OTHER_BASE'],
      [[base, base], 'MODEL_NOT_PATCHED'],
      [[base, patched, '--seed', 'x'], 'OPTION_INVALID'],
      [[base, patched, '--shape', 'sample=2by4'], 'OPTION_INVALID'],
      [[base, patched, '--shape', 'sample=2x5x16x16'], 'RUNTIME_RUN'],
      [[base, join(base, 'missing.onnx')], 'OPTION_FILE_MISSING'],
    ];
    for (const [args, error] of refusals) {
      const { stderr } = await ipgraft('validate', ...args);
      assert.ok(stderr.startsWith(`${error}: `), stderr);
    }
  });

  it('a model that ONNX Runtime does not load is refused with its words', async () => {
    const { folder, base } = placeModel(MODEL);
    const broken = join(folder, 'broken.onnx');
    copyFileSync(base, broken);
    const bytes = readFileSync(broken);
    bytes.write('Conw', bytes.indexOf('Conv'));
    writeFileSync(broken, bytes);
    const patched = join(folder, 'patched.onnx');
    assert.equal(
      (await ipgraft('compile', broken, '-a', adapterPath('sd15', 'base'), '-o', patched)).code,
      0,
    );
    const { code, stderr } = await ipgraft('validate', broken, patched, ...SHAPES);
    assert.deepEqual([code, stderr.split(':')[0]], [10, 'RUNTIME_LOAD']);
  });

  it('a weight that is no number fails, and is written as a number', async () => {
    const weights = readFileSync(adapterPath('sd15', 'base'));
    weights.writeFloatLE(Number.NaN, weights.length - 4);
    const folder = freshFolder();
    const adapter = join(folder, 'nan.safetensors');
    writeFileSync(adapter, weights);
    const path = join(folder, 'patched.onnx');
    const base = modelPath('sd15-sdpa-ts17');
    assert.equal((await ipgraft('compile', base, '-a', adapter, '-o', path)).code, 0);
    const { code, stdout } = await ipgraft('validate', base, path, '-a', adapter, '--json');
    const { sites, checks } = JSON.parse(stdout) as Validation;
    assert.equal(code, 1);
    assert.ok(sites.some(({ passed, difference }) => !passed && difference === Number.MAX_VALUE));
    assert.ok(checks.some(({ passed, difference }) => passed === false && difference === Number.MAX_VALUE));
  });
});
