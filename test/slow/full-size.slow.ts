import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  createReadStream,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelDiff } from '../../compiler/diff/model-diff.js';
import { SD15_FP16, SD15_FP32, writeFullSizeAdapter, writeFullSizeModel } from '../../fixtures/full-size.js';
import { loadSession, type Session, type Values } from '../../runtime/session/session.js';
import { normalNumbers } from '../../runtime/validate/seeded-inputs.js';
import { ipgraftProcess, MAIN } from '../command.js';
import { freshFolder } from '../fixtures.js';

const TEXT_TOKENS = 77;
const TEXT_WIDTH = 768;
const SIDE = 16;

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

function flipBit(path: string, at: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte[0]! ^= 1;
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
}

function compiled(...args: readonly string[]): void {
  const { code, stderr } = ipgraftProcess('compile', ...args);
  assert.equal(code, 0, stderr);
}

/** Ctrl-C while gigabytes are on their way elsewhere. */
async function leavesNothing(base: string, adapter: string): Promise<void> {
  const out = freshFolder();
  const args = [MAIN, 'compile', base, '-a', adapter, '-o', join(out, 'patched.onnx')];
  const running = spawn(process.execPath, args, { stdio: 'ignore' });
  const ended = once(running, 'exit');
  const isCopying = () => readdirSync(out).some((file) => statSync(join(out, file)).size > 100_000_000);
  while (running.exitCode === null && !isCopying()) await sleep(5);
  running.kill('SIGINT');
  assert.deepEqual(await ended, [130, null]);
  assert.deepEqual(readdirSync(out), []);
}

function values(...dims: number[]): Values {
  const next = normalNumbers(dims.length);
  return { dims, data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, next) };
}

/** One step on `text` and what stands behind it. */
async function step(session: Session, imageTokens: number, scale?: number): Promise<Float32Array> {
  const text = values(1, TEXT_TOKENS, TEXT_WIDTH).data;
  const image = values(1, imageTokens, TEXT_WIDTH, 1).data;
  const states = new Float32Array([...text, ...image]);
  const results = await session.run({
    sample: values(1, 4, SIDE, SIDE),
    timestep: { dims: [], data: Float32Array.of(500) },
    encoder_hidden_states: { dims: [1, TEXT_TOKENS + imageTokens, TEXT_WIDTH], data: states },
    ...(scale !== undefined && { ip_scale: { dims: [1], data: Float32Array.of(scale) } }),
  });
  return results.get('out_sample')!.data;
}

for (const model of [SD15_FP16, SD15_FP32]) {
  describe(`Stable Diffusion 1.5 at its real size, ${model.graph}`, () => {
    const folder = freshFolder();
    const elsewhere = freshFolder();
    const beside = join(folder, 'patched.onnx');
    const copy = join(elsewhere, 'patched.onnx');
    let base: string;
    let adapter: string;
    let digests: Record<string, string>;
    const digestsOf = async (within: string) => {
      const found: Record<string, string> = {};
      for (const name of readdirSync(within).filter((file) => file.startsWith('model.')))
        found[name] = await digest(join(within, name));
      return found;
    };

    before(async () => {
      base = await writeFullSizeModel(folder, model);
      adapter = await writeFullSizeAdapter(folder, 4);
      digests = await digestsOf(folder);
      compiled(base, '-a', adapter, '-o', beside);
      compiled(base, '-a', adapter, '-o', copy);
    });

    it('beside the base the adapter and the graph are written, and nothing else', () => {
      const { size } = statSync(join(folder, 'patched.ip_adapter.data'));
      const weights = (model === SD15_FP16 ? 1 : 2) * 38_400_000;
      assert.ok(size >= 0.99 * weights && size < weights + 4e6, `${size} bytes of weights`);
      assert.ok(statSync(beside).size < 4e6);
    });

    it('switched off it computes what the base computes, bit for bit; switched on it does not', async () => {
      const session = await loadSession(base);
      const expected = await step(session, 0);
      await session.release();
      assert.ok(expected.every(Number.isFinite) && expected.some((number) => number !== 0));
      for (const path of [beside, copy]) {
        const patched = await loadSession(path);
        assert.deepEqual(await step(patched, 4, 0), expected);
        assert.notDeepEqual(await step(patched, 4, 1), expected);
        await patched.release();
      }
    });

    it('diff proves both, says what is open without the adapter, and finds one bit in gigabytes', () => {
      const diff = (...args: readonly string[]) => {
        const { code, stdout } = ipgraftProcess('diff', base, ...args, '--json');
        return { code, ...(JSON.parse(stdout) as ModelDiff) };
      };
      for (const path of [beside, copy]) {
        const { code, proof } = diff(path);
        assert.deepEqual([code, proof?.holds, proof?.faults], [0, true, []]);
        assert.match(proof!.open.join(), /^the data of 32 inserted tensors, \d{8} bytes/);
        const { proof: whole } = diff(path, '-a', adapter);
        assert.deepEqual([whole?.holds, whole?.open, whole?.source], [true, [], 'recomputed']);
      }
      const weights = model === SD15_FP16 ? copy : join(elsewhere, 'model.onnx_data');
      flipBit(weights, Math.floor(statSync(weights).size / 2));
      const { code, proof, changes } = diff(copy);
      assert.equal(code, 1);
      assert.deepEqual(
        proof!.unexplained.map((i) => [changes[i]!.subject, changes[i]!.aspects[0]!.kind]),
        [['initializer', 'changed']],
      );
      flipBit(weights, Math.floor(statSync(weights).size / 2));
      assert.equal(diff(copy).code, 0);
    });

    it('Ctrl-C while it is copied leaves nothing behind', () => leavesNothing(base, adapter));

    it('is undone byte for byte, and the base was never touched', async () => {
      for (const path of [beside, copy]) {
        const restored = join(elsewhere, 'restored.onnx');
        const { code, stderr } = ipgraftProcess('strip', path, '-o', restored, '--force');
        assert.equal(code, 0, stderr);
        assert.equal(await digest(restored), digests['model.onnx']);
      }
      assert.deepEqual(await digestsOf(folder), digests);
      if (model === SD15_FP32)
        assert.equal(await digest(join(elsewhere, 'model.onnx_data')), digests['model.onnx_data']);
    });
  });
}

describe('one file of 3.4 GB, which protobuf does not allow and people have all the same', () => {
  const folder = freshFolder();
  const elsewhere = freshFolder();
  let base: string;
  let adapter: string;
  let expected: Float32Array;

  before(async () => {
    const proper = await loadSession(await writeFullSizeModel(join(elsewhere, 'proper'), SD15_FP32));
    expected = await step(proper, 0);
    await proper.release();
    rmSync(join(elsewhere, 'proper'), { recursive: true });
    base = await writeFullSizeModel(folder, { ...SD15_FP32, weights: 'inside' });
    adapter = await writeFullSizeAdapter(folder, 4);
    assert.ok(statSync(base).size > 2 ** 31);
  });

  for (const [place, path] of [
    ['beside it, where its weights are named', join(folder, 'patched.onnx')],
    ['elsewhere, where they get a file of their own', join(elsewhere, 'patched.onnx')],
  ] as const) {
    it(`${place}: computes what the weights say, and is undone byte for byte`, async () => {
      compiled(base, '-a', adapter, '-o', path);
      assert.ok(statSync(path).size < 2 ** 31);
      const patched = await loadSession(path);
      assert.deepEqual(await step(patched, 4, 0), expected);
      assert.notDeepEqual(await step(patched, 4, 1), expected);
      await patched.release();
      const restored = join(elsewhere, 'restored.onnx');
      const { code, stderr } = ipgraftProcess('strip', path, '-o', restored, '--force');
      assert.equal(code, 0, stderr);
      assert.equal(await digest(restored), await digest(base));
    });
  }

  it('Ctrl-C while it is copied leaves nothing behind', () => leavesNothing(base, adapter));
});
