import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Provider } from '../../runtime/session/load-runtime.js';
import type { Validation } from '../../runtime/validate/validation.js';
import { ipgraft, MAIN, placeModel } from '../command.js';
import {
  adapterPath,
  EXPORTS,
  familyOf,
  fixturePath,
  formPath,
  freshFolder,
  KINDS,
  modelPath,
} from '../fixtures.js';
import { largestDifference, type Reference, readReference, reference, type Values } from '../numbers.js';
import { type KindOptions, patchFile } from '../patched.js';
import { load, unetInputs } from '../session.js';
import { describeSteps } from './provider-steps.js';

const CUDA: Provider = 'cuda';
/** Without it float32 is multiplied as TF32, with the ten bits of float16. */
const EXACT = { NVIDIA_TF32_OVERRIDE: '0' };
/**
 * ONNX Runtime times the algorithms of a convolution and takes the quickest, in each session anew. Most are within 2e-6 of diffusers, some
 * within 4e-4; the smallest effect of an adapter is above 1e-2.
 */
const LIMIT = 1e-3;

/** Why CUDA cannot be used here, if it cannot: asked in a process of its own, since a library that is missing may end it. */
function missing(): string | null {
  const script = `import('onnxruntime-node').then(({ default: ort }) => ort.InferenceSession.create(process.argv[1], { executionProviders: ['cuda'] })).then(() => process.exit(0), ({ message }) => { console.error(message); process.exit(1); })`;
  const model = modelPath('sd15-sdpa-ts17');
  const { status, stderr } = spawnSync(process.execPath, ['-e', script, model], { encoding: 'utf8' });
  return status === 0 ? null : stderr.trim().slice(0, 200);
}

function imageTokens(expected: Reference): Values {
  const { dims, data } = expected.get('ip_hidden_states');
  return { dims: [dims[0]!, dims.at(-2)!, dims.at(-1)!], data };
}

interface OnCuda {
  readonly base: Float32Array;
  readonly at: (scale: (id: number) => number) => Promise<Float32Array>;
  readonly ids: readonly number[];
  readonly release: () => Promise<void>;
}

/** A model as it is and with an adapter, a scale per layer, both on CUDA. */
async function onCuda(model: string, adapter: string, expected: Reference): Promise<OnCuda> {
  const inputs = unetInputs(expected);
  const own = await load(model, CUDA);
  const base = [...(await own.run(inputs)).values()][0]!.data;
  await own.release();
  const options: KindOptions = { tokens: 'input', scale: 'layers' };
  const { path, patched } = await patchFile(model, [adapter], options, { weights: 'copy' });
  const session = await load(path, CUDA);
  const ids = patched.located.attentions.map(({ id }) => id);
  return {
    base,
    ids,
    async at(scale) {
      const ip_scale = { dims: [1, ids.length], data: Float32Array.from(ids, scale) };
      const feeds = { ...inputs, ip_hidden_states: imageTokens(expected), ip_scale };
      return [...(await session.run(feeds)).values()][0]!.data;
    },
    release: () => session.release(),
  };
}

/** All scales, and one attention at a time: within `limit` of diffusers, which computes in float32. */
async function holds(model: string, adapter: string, expected: Reference, limit: number): Promise<void> {
  const { base, at, ids, release } = await onCuda(model, adapter, expected);
  const apart = (found: Float32Array, name: string) => largestDifference(found, expected.get(name).data);
  const worst = Math.max(
    apart(base, 'base'),
    apart(await at(() => 0), 'base'),
    apart(await at(() => 0.6), 'out_scale_0.6'),
    apart(await at(() => 1), 'out_scale_1.0'),
  );
  const only = ids.filter((id) => expected.has(`only_${id}`));
  const alone: number[] = [];
  for (const id of only) alone.push(apart(await at((each) => Number(each === id)), `only_${id}`));
  const off = largestDifference(await at(() => 0), base);
  console.log(
    `        ${worst.toExponential(1)}, alone ${Math.max(0, ...alone).toExponential(1)}, off ${off}`,
  );
  await release();
  assert.ok(Math.max(worst, ...alone) <= limit, `${worst}, ${alone}`);
  // Bit for bit where both sessions took the same algorithms.
  assert.ok(off <= LIMIT, `scale 0 is ${off} from the base`);
}

describe('on CUDA', () => {
  const before_ = process.env.NVIDIA_TF32_OVERRIDE;

  before(function () {
    const why = missing();
    if (why === null) {
      Object.assign(process.env, EXACT);
      return;
    }
    console.log(`    skipped: ${why}`);
    this.skip();
  });
  after(() => {
    if (before_ === undefined) delete process.env.NVIDIA_TF32_OVERRIDE;
    else process.env.NVIDIA_TF32_OVERRIDE = before_;
  });

  describeSteps({ provider: CUDA, profileName: 'CUDAExecutionProvider', env: EXACT, limit: LIMIT });

  for (const model of EXPORTS)
    for (const kind of KINDS)
      it(`${model}, ${kind}: what diffusers computes`, async () => {
        const family = familyOf(model);
        await holds(modelPath(model), adapterPath(family, kind), await reference(family, kind), LIMIT);
      });

  for (const [form, limit] of [
    // Only CUDA runs packed keys and values.
    ['compact-mhapacked', LIMIT],
    ['compact-fp16', 1e-2],
    ['compact-mha', LIMIT],
    ['compact-ts17', LIMIT],
  ] as const)
    it(`${form}: what diffusers computes, one attention at a time too`, async () => {
      const expected = await readReference(fixturePath('forms', 'compact.reference.safetensors'));
      await holds(formPath(form), fixturePath('forms', 'compact.adapter.safetensors'), expected, limit);
    });

  for (const model of ['sd15-sdpa-ts17', 'sd15-sdpa-ts17-fp16'])
    for (const options of [[], ['--tokens', 'embeds'], ['--masks', '--tokens', 'input']])
      it(`validate, ${model}, ${options.join(' ') || 'split'}: every cross-attention holds as CUDA computes by itself`, async () => {
        const { folder, base } = placeModel(model);
        const patched = join(folder, 'patched.onnx');
        const adapter = adapterPath('sd15', 'base');
        assert.equal((await ipgraft('compile', base, '-a', adapter, '-o', patched, ...options)).code, 0);
        const shapes = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
        const { NVIDIA_TF32_OVERRIDE: _, ...env } = process.env;
        const { status, stdout, stderr } = spawnSync(
          process.execPath,
          [MAIN, 'validate', base, patched, '-a', adapter, ...shapes, '--provider', CUDA, '--json'],
          { encoding: 'utf8', env },
        );
        assert.equal(status, 0, stdout.slice(-3000) + stderr.slice(-2000));
        const { provider, checks, sites } = JSON.parse(stdout) as Validation;
        assert.deepEqual([provider, sites.length], [CUDA, 16]);
        const { detail } = checks.find(({ name }) => name.startsWith('nodes that make floats'))!;
        const worst = Math.max(...sites.map(({ relative }) => relative));
        console.log(`        ${detail}; sites within ${worst.toPrecision(2)}`);
      });

  it('serve answers from CUDA', async () => {
    const repository = freshFolder();
    const expected = await reference('sd15', 'base');
    mkdirSync(join(repository, 'unet', '1'), { recursive: true });
    const path = join(repository, 'unet', '1', 'model.onnx');
    const compiled = ['compile', modelPath('sd15-sdpa-ts17'), '-a', adapterPath('sd15', 'base')];
    assert.equal((await ipgraft(...compiled, '--tokens', 'input', '-o', path)).code, 0);
    const server = spawn(
      process.execPath,
      [MAIN, 'serve', repository, '--port', '0', '--provider', CUDA, '--json'],
      { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...EXACT } },
    );
    try {
      const url = await urlOf(server);
      const feeds = {
        ...unetInputs(expected),
        ip_hidden_states: imageTokens(expected),
        ip_scale: { dims: [1], data: Float32Array.of(1) },
      };
      const inputs = Object.entries(feeds).map(([name, { dims, data }]) => ({
        ...{ name, shape: dims, data: Array.from(data) },
        datatype: name === 'timestep' ? 'INT64' : 'FP32',
      }));
      const answer = await fetch(`${url}/v2/models/unet/infer`, {
        ...{ method: 'POST', body: JSON.stringify({ inputs }) },
        headers: { 'content-type': 'application/json' },
      });
      const { outputs } = (await answer.json()) as { outputs: { data: number[] }[] };
      const found = Float32Array.from(outputs[0]!.data);
      const difference = largestDifference(found, expected.get('out_scale_1.0').data);
      assert.ok(difference <= LIMIT, `${difference}`);
    } finally {
      const ended = once(server, 'exit');
      server.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
    }
  });
});

/** Where a server says that it listens. */
async function urlOf(server: ChildProcess): Promise<string> {
  let said = '';
  for await (const line of createInterface({ input: server.stdout! })) {
    said += line;
    const url = /"url":\s*"([^"]+)"/.exec(said)?.[1];
    if (url !== undefined) return url;
  }
  throw new Error(said);
}
