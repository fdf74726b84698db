import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isInsertedName } from '../../fixtures/inserted-name.js';
import { loadSession, type Values } from '../../runtime/session/session.js';
import { largestDifference } from '../../runtime/validate/largest-difference.js';
import { ipgraft } from '../command.js';
import { adapterPath, freshFolder, modelPath } from '../fixtures.js';

/** SwiftShader, which comes with Chromium: Vulkan without a GPU. A machine with a GPU needs none. */
const DRIVER = process.env.VK_ICD_FILENAMES ?? '/usr/lib/chromium/vk_swiftshader_icd.json';
const CPU = 'CPUExecutionProvider';
const GPU = 'WebGpuExecutionProvider';

interface Step {
  readonly nodes: Readonly<Record<string, readonly string[]>>;
  readonly inputs: Readonly<Record<string, Values>>;
  readonly output: readonly number[];
}

function step(model: string, imageTokens: number): Step {
  const script = join(process.cwd(), 'dist', 'test', 'slow', 'webgpu-step.js');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [script, model, freshFolder(), `${imageTokens}`],
    { encoding: 'utf8', env: { ...process.env, VK_ICD_FILENAMES: DRIVER }, maxBuffer: 1 << 28 },
  );
  assert.equal(status, 0, stderr.slice(-2000));
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Step;
}

describe('on WebGPU', () => {
  before(function () {
    if (existsSync(DRIVER)) return;
    console.log(`    skipped: no Vulkan driver at ${DRIVER}; apt-get install chromium libvulkan1 brings one`);
    this.skip();
  });

  for (const [model, family] of [
    ['sd15-sdpa-ts17', 'sd15'],
    ['sd15-classic-ts14', 'sd15'],
    ['sd15-sdpa-dynamo18', 'sd15'],
    ['sdxl-sdpa-ts17', 'sdxl'],
  ] as const) {
    for (const [title, options, imageTokens] of [
      ['split', [], 4],
      ['a scale per layer', ['--tokens', 'input', '--scale', 'layers'], 0],
      ['the image projection inside', ['--tokens', 'embeds'], 0],
      ['hoisted', ['--hoist'], 0],
    ] as const) {
      it(`${model}, ${title}: no inserted arithmetic falls back to the CPU, and the numbers are the CPU’s`, async () => {
        const patched = join(freshFolder(), 'patched.onnx');
        const { code, stderr } = await ipgraft(
          ...['compile', modelPath(model), '-a', adapterPath(family, 'base'), '-o', patched, ...options],
        );
        assert.equal(code, 0, stderr);
        const [before, after] = [step(modelPath(model), 0), step(patched, imageTokens)];
        // What is cloned runs where the base's own attention runs it: classic attention makes an empty tensor on the CPU.
        const own = new Set(before.nodes[CPU]);
        const fallen = (after.nodes[CPU] ?? []).filter(
          (name) => isInsertedName(name) && !own.has(name.replace('/ip/', '/')),
        );
        assert.deepEqual(fallen, []);
        assert.ok((after.nodes[GPU] ?? []).some(isInsertedName));
        const session = await loadSession(patched);
        const feeds = Object.entries(after.inputs).map(([name, { dims, data }]) => [
          name,
          { dims, data: Float32Array.from(data) },
        ]);
        const [[, expected]] = [...(await session.run(Object.fromEntries(feeds)))] as [[string, Values]];
        await session.release();
        const difference = largestDifference(expected.data, Float32Array.from(after.output));
        assert.ok(difference < 1e-4, `${difference}`);
      });
    }
  }
});
