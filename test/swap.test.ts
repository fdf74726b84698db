import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentOf, ipgraft, placeModel } from './command.js';
import { adapterPath, freshFolder } from './fixtures.js';
import { kindPath } from './kinds.js';

const MODEL = 'sd15-sdpa-ts17';
const [BASE, PLUS] = [adapterPath('sd15', 'base'), adapterPath('sd15', 'plus')];
/** An adapter of the family and shapes of `BASE`, with other weights. */
const OTHER = () => kindPath('comfy-penalty.adapter.safetensors');

async function good(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await ipgraft(...args);
  assert.deepEqual([code, stderr], [0, '']);
  return stdout;
}

describe('ipgraft swap', () => {
  for (const options of [
    ['--tokens', 'split'],
    ['--tokens', 'embeds', '--scale', 'layers'],
    ['--pattern', 'up_blocks.**.attn2', '--weights', 'copy'],
    ['--scale', '{"up":{"block_1":[0,1,0]}}'],
  ])
    it(`${options.join(' ')}: gives the very files that compiling with the other adapter gives`, async () => {
      const [first, second] = [placeModel(MODEL), placeModel(MODEL)];
      await good('compile', first.base, '-a', BASE, '-o', join(first.folder, 'old.onnx'), ...options);
      await good('swap', join(first.folder, 'old.onnx'), '-a', OTHER(), '-o', join(first.folder, 'new.onnx'));
      await good('compile', second.base, '-a', OTHER(), '-o', join(second.folder, 'new.onnx'), ...options);
      for (const name of readdirSync(second.folder))
        assert.ok(
          readFileSync(join(first.folder, name)).equals(readFileSync(join(second.folder, name))),
          name,
        );
      await good('strip', join(first.folder, 'new.onnx'), '-o', join(first.folder, 'back.onnx'));
      assert.ok(readFileSync(join(first.folder, 'back.onnx')).equals(readFileSync(first.base)));
    });

  it('to another folder: the data that is still needed goes along', async () => {
    const { folder, base } = placeModel(`${MODEL}-external`);
    await good('compile', base, '-a', BASE, '-o', join(folder, 'old.onnx'));
    const target = freshFolder();
    await good('swap', join(folder, 'old.onnx'), '-a', OTHER(), '-o', join(target, 'new.onnx'));
    const names = readdirSync(target);
    assert.ok(names.includes(`${MODEL}-external.onnx_data`), names.join());
    assert.ok(!names.some((name) => name.startsWith('old')), names.join());
    await good('inspect', join(target, 'new.onnx'));
  });

  it('copied weights make room for the adapter that was trained from them', async () => {
    const { folder, base } = placeModel(MODEL);
    await good('compile', base, '--init-from-text', '--num-tokens', '4', '-o', join(folder, 'start.onnx'));
    const stdout = await good(
      'swap',
      join(folder, 'start.onnx'),
      '-a',
      BASE,
      '-o',
      join(folder, 'trained.onnx'),
    );
    assert.match(stdout, /^swapped {5}32 weights/m);
  });

  it('refuses what would be another graph, and leaves nothing behind', async () => {
    const { folder, base } = placeModel(MODEL);
    const old = join(folder, 'old.onnx');
    await good('compile', base, '-a', BASE, '-o', old);
    const face = join(folder, 'face.onnx');
    await good('compile', base, '-a', kindPath('faceid.adapter.bin'), '-o', face);
    const hoisted = join(folder, 'hoisted.onnx');
    await good('compile', base, '-a', BASE, '--hoist', '-o', hoisted);
    const dropped = join(folder, 'dropped.onnx');
    await good('compile', base, '--drop-image-tokens', '4', '-o', dropped);
    const before = contentOf(folder);
    const cases: [string, string[], string][] = [
      [old, [PLUS], 'OPTION_SWAP'],
      [old, [BASE, BASE], 'OPTION_SWAP'],
      [old, [kindPath('faceid.adapter.bin')], 'OPTION_SWAP'],
      [face, [BASE], 'OPTION_SWAP'],
      [hoisted, [OTHER()], 'OPTION_SWAP'],
      [dropped, [OTHER()], 'OPTION_SWAP'],
      [old, [adapterPath('sdxl', 'base')], 'ADAPTER_COUNT'],
      [base, [OTHER()], 'MODEL_NOT_PATCHED'],
    ];
    for (const [model, adapters, code] of cases) {
      const { stderr } = await ipgraft('swap', model, '-a', ...adapters, '-o', join(folder, 'new.onnx'));
      assert.ok(stderr.startsWith(`${code}: `), stderr);
    }
    const { stderr } = await ipgraft('swap', old, '-a', OTHER(), '-o', old, '--force');
    assert.ok(stderr.startsWith('OUTPUT_IS_INPUT: '), stderr);
    assert.deepEqual(contentOf(folder), before);
  });
});
