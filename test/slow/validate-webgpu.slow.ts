import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Validation } from '../../runtime/validate/validation.js';
import { ipgraft, MAIN, placeModel } from '../command.js';
import { adapterPath } from '../fixtures.js';

/** SwiftShader, which comes with Chromium: Vulkan without a GPU. A machine with a GPU needs none. */
const DRIVER = process.env.VK_ICD_FILENAMES ?? '/usr/lib/chromium/vk_swiftshader_icd.json';

/** In a process of its own: the Vulkan driver is chosen by the environment. */
function validateOnWebGpu(base: string, patched: string) {
  const shapes = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
  const args = ['validate', base, patched, '-a', adapterPath('sd15', 'base'), ...shapes];
  return spawnSync(process.execPath, [MAIN, ...args, '--provider', 'webgpu', '--json'], {
    encoding: 'utf8',
    env: { ...process.env, VK_ICD_FILENAMES: DRIVER },
  });
}

describe('ipgraft validate on WebGPU', () => {
  before(function () {
    if (existsSync(DRIVER)) return;
    console.log(`    skipped: no Vulkan driver at ${DRIVER}; apt-get install chromium libvulkan1 brings one`);
    this.skip();
  });

  for (const model of ['sd15-sdpa-ts17', 'sd15-sdpa-ts17-fp16'])
    for (const options of [[], ['--tokens', 'embeds'], ['--masks', '--tokens', 'input']])
      it(`${model}, ${options.join(' ') || 'split'}: every cross-attention holds, and most nodes run there`, async function () {
        const { folder, base } = placeModel(model);
        const patched = join(folder, 'patched.onnx');
        const compiled = ['compile', base, '-a', adapterPath('sd15', 'base'), '-o', patched, ...options];
        assert.equal((await ipgraft(...compiled)).code, 0);
        const { status, stdout, stderr } = validateOnWebGpu(base, patched);
        if (/device does not support it/.test(stderr)) {
          assert.match(stderr, /^RUNTIME_PROVIDER: --provider webgpu: .*f16/m);
          console.log(`    skipped: ${stderr.match(/RUNTIME_PROVIDER: .*/)![0]}`);
          return this.skip();
        }
        assert.equal(status, 0, stdout.slice(-3000) + stderr.slice(-2000));
        const { provider, checks, sites } = JSON.parse(stdout) as Validation;
        assert.deepEqual([provider, sites.length], ['webgpu', 16]);
        const { detail } = checks.find(({ name }) => name.startsWith('nodes that make floats'))!;
        const count = (name: string) => Number(new RegExp(`(\\d+) by ${name}`).exec(detail)?.[1] ?? 0);
        const [gpu, cpu] = [count('WebGpuExecutionProvider'), count('CPUExecutionProvider')];
        const worst = Math.max(...sites.map(({ relative }) => relative));
        console.log(`    ${cpu} of ${gpu + cpu} nodes on the CPU, sites within ${worst.toPrecision(2)}`);
        assert.ok(gpu > 10 * cpu, detail);
      });
});
