import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { openAdapters, openModel } from '../../runtime/open.js';
import { validate } from '../../runtime/validate/validate.js';
import type { Validation } from '../../runtime/validate/validation.js';
import { contentOf, ipgraft, placeModel } from '../command.js';
import { adapterPath, fixturePath, formPath, modelPath } from '../fixtures.js';
import { kindPath } from '../kinds.js';
import { type KindOptions, patchFile } from '../patched.js';

const [BASE, PLUS, FULL_FACE] = (['base', 'plus', 'full-face'] as const).map((kind) =>
  adapterPath('sd15', kind),
);
const MODEL = 'sd15-sdpa-dynamo18';

/** Compiles and validates with small inputs; the checkpoints are given unless `without`. */
async function validated(
  model: string,
  adapters: readonly string[],
  options: KindOptions = {},
  without = false,
): Promise<Validation> {
  const { path } = await patchFile(model, adapters, options);
  const [base, patched] = [await openModel(model), await openModel(path)];
  const opened = (await Promise.all((without ? [] : adapters).map((file) => openAdapters(file)))).flat();
  const shapes = new Map(
    [...base.graph.inputs.values()]
      .filter(({ shape }) => shape?.some((size) => typeof size !== 'number'))
      .map(({ name, shape }) => {
        const free = (axis: number) => (axis === 0 ? 2 : shape!.length === 4 ? 16 : 7);
        return [name, shape!.map((size, axis) => (typeof size === 'number' ? size : free(axis)))] as const;
      }),
  );
  try {
    return await validate(
      { ...base, path: base.path! },
      { ...patched, path: patched.path! },
      { adapters: opened, shapes },
    );
  } finally {
    await Promise.all([base, patched, ...opened].map((file) => file.close()));
  }
}

/** Holds, with every site within a fifth of the limit in float32. */
function holds(found: Validation, sites: number, float16 = false): void {
  assert.ok(found.passed, JSON.stringify(found.checks.filter(({ passed }) => passed !== true)));
  assert.equal(found.sites.length, sites);
  for (const { relative, limit, scope } of found.sites)
    assert.ok(relative <= (float16 ? limit / 2 : limit / 5), `${scope}: ${relative} of ${limit}`);
  assert.equal(found.engine?.backend, 'wasm');
}

function check({ checks }: Validation, name: RegExp) {
  const found = checks.find((each) => name.test(each.name));
  assert.ok(found, `${name} among ${checks.map((each) => each.name).join(', ')}`);
  return found;
}

describe('recomputed by the second engine', () => {
  for (const [title, adapters, options, sites] of [
    ['two adapters, a scale per layer', [BASE, PLUS], { scale: 'layers', tokens: 'input' }, 16],
    [
      'two adapters, several images, masks',
      [BASE, PLUS],
      { images: [2, 1], masks: true, tokens: 'embeds' },
      16,
    ],
    ['hoisted, masks', [BASE, PLUS], { hoist: true, masks: true, images: [2, 1] }, 16],
    ['a scale per row, images', [BASE], { scale: 'rows', images: [3] }, 16],
    ['scales that are baked in', [BASE], { scale: '{"up": {"block_1": [0, 1, 0]}}' }, 1],
    ['a precise weight type', [BASE], { weightType: { name: 'composition-precise', boost: 2 } }, 16],
    ['a weight type without branches everywhere', [BASE], { weightType: { name: 'style-transfer' } }, 11],
    ['scaled keys and mean of values', [BASE], { embedsScaling: 'k+mean-v-penalty' }, 16],
    ['copies of the text’s weights', [], { initFromText: { tokens: 4 } }, 16],
    ['one block alone', [BASE], { patterns: ['mid_block.**.attn2'] }, 1],
  ] as [string, string[], KindOptions, number][])
    it(title, async () => holds(await validated(modelPath(MODEL), adapters, options), sites));

  for (const [family, adapters, model] of [
    ['base', [BASE], MODEL],
    ['plus', [PLUS], MODEL],
    ['full-face', [FULL_FACE], MODEL],
    ['faceid', [kindPath('faceid.adapter.bin')], 'sd15-sdpa-ts17'],
    ['faceid-plus', [kindPath('faceid-plus.adapter.safetensors')], 'sd15-sdpa-ts17'],
  ] as [string, string[], string][])
    it(`the image projection of ${family}`, async () => {
      const found = await validated(modelPath(model), adapters, { tokens: 'embeds' });
      holds(found, 16);
      const projected = check(found, /^image tokens, projected/);
      assert.equal(projected.passed, true);
      assert.ok(projected.detail.startsWith(`${family} of `), projected.detail);
    });

  it('the model that makes a hoisted UNet’s keys and values: projection, weights and places', async () => {
    const { folder, base } = placeModel(MODEL);
    const patched = join(folder, 'patched.onnx');
    const adapters = ['-a', BASE!, PLUS!];
    const options = ['--hoist', '--tokens', 'embeds', '--images', '2,1'];
    assert.equal((await ipgraft('compile', base, ...adapters, '-o', patched, ...options)).code, 0);
    const shapes = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
    const { code, stdout } = await ipgraft('validate', base, patched, ...adapters, ...shapes);
    assert.equal(code, 0, stdout);
    for (const file of ['patched.kv.onnx', 'patched.kv_2.onnx'])
      assert.match(stdout, new RegExp(`^holds {7}${file}, recomputed`, 'm'));
    // Another adapter's model under the name of the first.
    copyFileSync(join(folder, 'patched.kv_2.onnx'), join(folder, 'patched.kv.onnx'));
    const wrong = await ipgraft('validate', base, patched, ...adapters, ...shapes);
    assert.equal(wrong.code, 1, wrong.stderr);
    assert.match(wrong.stdout, /^FAILS {7}patched\.kv\.onnx, recomputed/m);
  });

  it('Kolors: tokens behind the linear layer of the text', async () => {
    const found = await validated(kindPath('kolors-dynamo18.onnx'), [kindPath('kolors-faceid.adapter.bin')]);
    holds(found, 16);
    assert.equal(check(found, /behind the text’s linear layer/).passed, true);
    assert.equal(check(found, /^zero image tokens/).passed, null);
  });

  it('fused operators, masks of the text, float16, and a text that is quantized', async () => {
    const form = (name: string) => formPath(name);
    const adapter = (name: string) => [fixturePath('forms', `${name}.adapter.safetensors`)];
    holds(await validated(form('compact-mha'), adapter('compact')), 16);
    holds(await validated(form('compact-dynamo24'), adapter('compact')), 16);
    holds(await validated(form('masked-sdpa-ts17'), adapter('masked')), 16);
    holds(await validated(modelPath('sd15-sdpa-ts17-fp16'), [BASE!]), 16, true);
    const quantized = await validated(form('compact-qdq'), adapter('compact'));
    holds(quantized, 16);
    assert.match(check(quantized, /^the text’s part of 16/).detail, /^it is quantized/);
  });

  it('says what it cannot check: no checkpoint, tokens that nobody outside makes', async () => {
    const alone = await validated(modelPath(MODEL), [BASE!], { tokens: 'embeds' }, true);
    holds(alone, 16);
    assert.match(check(alone, /^image weights, the checkpoint’s/).detail, /--adapter/);
    assert.match(check(alone, /^image tokens, projected/).detail, /--adapter/);
    for (const name of [/^image weights/, /^image tokens/, /^zero image tokens/, /^an image’s tokens/])
      assert.equal(check(alone, name).passed, null);
  });

  it('laws: zero tokens change nothing, their order neither', async () => {
    const found = await validated(modelPath(MODEL), [BASE!, PLUS!], { images: [2, 1] });
    assert.deepEqual(
      [check(found, /^zero image tokens/).passed, check(found, /^zero image/).difference],
      [true, 0],
    );
    const { passed, difference } = check(found, /^an image’s tokens in another order/);
    assert.ok(passed && difference! < 1e-5, `${difference}`);
  });

  it('writes nothing, and reads weights where they lie: beside the base, or behind a link', async () => {
    const { folder, base } = placeModel('sd15-sdpa-ts17-external');
    const patched = join(folder, 'patched.onnx');
    assert.equal((await ipgraft('compile', base, '-a', BASE!, '-o', patched)).code, 0);
    const before = contentOf(folder);
    const shapes = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
    assert.equal((await ipgraft('validate', base, patched, '-a', BASE!, ...shapes)).code, 0);
    assert.deepEqual(contentOf(folder), before);
    const { folder: other, base: whole } = placeModel(MODEL);
    const real = join(other, 'real');
    mkdirSync(real);
    const copy = join(real, 'patched.onnx');
    assert.equal((await ipgraft('compile', whole, '-a', BASE!, '-o', copy)).code, 0);
    const link = join(other, 'linked.onnx');
    symlinkSync(copy, link);
    const { code, stdout } = await ipgraft('validate', whole, link, '-a', BASE!, ...shapes);
    assert.equal(code, 0, stdout);
  });

  it('refuses another number of checkpoints, and warns of another file', async () => {
    const { folder, base } = placeModel(MODEL);
    const patched = join(folder, 'patched.onnx');
    assert.equal((await ipgraft('compile', base, '-a', BASE!, '-o', patched)).code, 0);
    const shapes = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
    const two = await ipgraft('validate', base, patched, '-a', BASE!, PLUS!, ...shapes);
    assert.match(
      two.stderr,
      /^OPTION_INVALID: --adapter: sought 1 adapters \(sd15-base\.safetensors\), found 2/,
    );
    const bin = join(folder, 'same.bin');
    copyFileSync(adapterPath('sd15', 'base', 'bin'), bin);
    const same = await ipgraft('validate', base, patched, '-a', bin, ...shapes);
    assert.equal(same.code, 0);
    assert.match(same.stdout, /^warning {5}same\.bin is not the file that was compiled in/m);
    assert.match(same.stdout, /^engine {6}@tensorflow\/tfjs 4\..*, wasm$/m);
    assert.equal(same.stdout.match(/^holds {7}\d\.\de-\d+ /gm)?.length, 5);
    const wrong = await ipgraft('validate', base, patched, '-a', PLUS!, ...shapes);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stdout, /^FAILS {7}every cross-attention, recomputed/m);
    const provider = await ipgraft('validate', base, patched, '--provider', 'tpu');
    assert.match(provider.stderr, /^OPTION_INVALID/);
  });
});
