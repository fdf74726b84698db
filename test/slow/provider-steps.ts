import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { isInsertedName } from '../../fixtures/inserted-name.js';
import type { Provider } from '../../runtime/session/load-runtime.js';
import { loadSession, type Values } from '../../runtime/session/session.js';
import { largestDifference } from '../../runtime/validate/largest-difference.js';
import { ipgraft } from '../command.js';
import { adapterPath, freshFolder, modelPath } from '../fixtures.js';

const CPU = 'CPUExecutionProvider';

interface Step {
  readonly nodes: Readonly<Record<string, readonly string[]>>;
  readonly inputs: Readonly<Record<string, Values>>;
  readonly output: readonly number[];
}

/** A provider, its name in ONNX Runtime's profiles, and what its process finds in the environment. */
export interface Device {
  readonly provider: Provider;
  readonly profileName: string;
  readonly env: Readonly<Record<string, string>>;
  /** How far from the CPU's a result may be. */
  readonly limit: number;
}

function step({ provider, env }: Device, model: string, imageTokens: number): Step {
  const script = join(process.cwd(), 'dist', 'test', 'slow', 'provider-step.js');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [script, provider, model, freshFolder(), `${imageTokens}`],
    { encoding: 'utf8', env: { ...process.env, ...env }, maxBuffer: 1 << 28 },
  );
  assert.equal(status, 0, stderr.slice(-2000));
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Step;
}

/** Steps of patched models on a device: where their nodes run, and whether the numbers are the CPU's. */
export function describeSteps(device: Device): void {
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
        const [before, after] = [step(device, modelPath(model), 0), step(device, patched, imageTokens)];
        // What is cloned runs where the base's own attention runs it: classic attention makes an empty tensor on the CPU.
        const own = new Set(before.nodes[CPU]);
        const fallen = (after.nodes[CPU] ?? []).filter(
          (name) => isInsertedName(name) && !own.has(name.replace('/ip/', '/')),
        );
        assert.deepEqual(fallen, []);
        assert.ok((after.nodes[device.profileName] ?? []).some(isInsertedName));
        const session = await loadSession(patched);
        const feeds = Object.entries(after.inputs).map(([name, { dims, data }]) => [
          name,
          { dims, data: Float32Array.from(data) },
        ]);
        const [[, expected]] = [...(await session.run(Object.fromEntries(feeds)))] as [[string, Values]];
        await session.release();
        const difference = largestDifference(expected.data, Float32Array.from(after.output));
        assert.ok(difference < device.limit, `${difference}`);
      });
    }
  }
}
