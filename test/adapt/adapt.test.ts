import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AdaptReport } from '../../runtime/pipeline/adapt/report.js';
import { readPipelineFolder } from '../../runtime/pipeline/folder/pipeline-folder.js';
import { contentOf, ipgraft, type Outcome } from '../command.js';
import { formPath, freshFolder } from '../fixtures.js';
import { appendTokens, largestDifference, readReference, type Values } from '../numbers.js';
import { load } from '../session.js';
import { type Case, pipelineCase } from './pipelines.js';

/** A run that must succeed, and say nothing on standard error. */
function good(outcome: Outcome): Outcome {
  assert.deepEqual([outcome.code, outcome.stderr], [0, '']);
  return outcome;
}

/** What a command writes into one file. */
async function written(...args: string[]): Promise<Buffer> {
  const path = join(freshFolder(), 'model.onnx');
  good(await ipgraft(...args, '-o', path));
  return readFileSync(path);
}

describe('adapt', () => {
  let pipeline: Case;

  beforeEach(() => {
    pipeline = pipelineCase();
  });

  it('patches the UNet as compile does, adds the projection, copies all else, and leaves the base alone', async () => {
    const { base, adapter, out, adapt } = pipeline;
    writeFileSync(join(base, 'notes.txt'), 'a file that nobody knows');
    mkdirSync(join(base, '.git'));
    writeFileSync(join(base, '.git', 'HEAD'), 'not copied');
    const before = contentOf(base);
    good(await adapt('--scale', 'optional=0.6'));
    assert.deepEqual(contentOf(base), before);
    assert.deepEqual(readdirSync(dirname(out)), ['adapted']);

    const unet = join(base, 'unet', 'model.onnx');
    const compiled = await written('compile', unet, '-a', adapter, '--scale', 'optional=0.6');
    assert.ok(readFileSync(join(out, 'unet', 'model.onnx')).equals(compiled));
    const projected = await written('project', adapter);
    assert.ok(readFileSync(join(out, 'image_proj', 'model.onnx')).equals(projected));

    const {
      'ipgraft.json': adaptation,
      image_proj,
      'image_proj/model.onnx': model,
      ...rest
    } = contentOf(out);
    assert.ok(adaptation && image_proj && model);
    const same = Object.keys(rest).filter((name) => rest[name] === before[name]);
    const changed = Object.keys(before).filter((name) => !name.startsWith('.git') && !same.includes(name));
    assert.deepEqual(changed, ['model_index.json', 'unet/model.onnx']);
    assert.equal(Object.keys(rest).length, same.length + 2);
  });

  it('says in ipgraft.json and model_index.json what it did', async () => {
    const { base, out, adapt } = pipeline;
    good(await adapt('--scale', '0.5', '--tokens', 'input', '--images', '2'));
    const found = await readPipelineFolder(out);
    const { adapters, ...rest } = found.adaptation!;
    assert.deepEqual(rest, {
      format: 1,
      ipgraft: rest.ipgraft,
      tokens: 'input',
      scale: '0.5',
      unet: 'unet/model.onnx',
      controlnets: [],
    });
    assert.equal(adapters.length, 1);
    const [{ sha256, ...adapter }] = adapters as [(typeof adapters)[0]];
    assert.match(sha256, /^[0-9a-f]{64}$/);
    assert.deepEqual(adapter, {
      name: 'adapter.safetensors',
      family: 'base',
      tokens: 4,
      images: 2,
      projection: 'image_proj/model.onnx',
      keysAndValues: null,
      wants: { reads: 'pooled', width: 20, encoder: null },
      encoder: null,
      faceWidth: null,
    });
    const { _ipgraft, ...index } = found.index;
    assert.deepEqual(index, (await readPipelineFolder(base)).index);
    assert.deepEqual(_ipgraft, { version: rest.ipgraft, adapters: ['adapter.safetensors'] });
  });

  it('prints what it would do, and with --dry-run does nothing', async () => {
    const { base, adapter, out, adapt } = pipeline;
    const { stdout } = good(await adapt('--dry-run', '--json'));
    const plan = JSON.parse(stdout) as AdaptReport;
    assert.deepEqual(readdirSync(dirname(out)), []);
    assert.match(
      plan.notes.join('\n'),
      /has no image encoder\. adapter\.safetensors reads image_embeds 20 wide/,
    );
    const report = join(dirname(out), 'report.json');
    good(await adapt('--report', report));
    assert.deepEqual(JSON.parse(readFileSync(report, 'utf8')), plan);
    for (const { name, bytes } of plan.files) assert.equal(readFileSync(join(out, name)).length, bytes, name);
    const names = readdirSync(out, { recursive: true, encoding: 'utf8', withFileTypes: true });
    assert.equal(names.filter((entry) => entry.isFile()).length, plan.files.length);
    const { stdout: text } = good(await ipgraft('adapt', base, '-a', adapter, '--dry-run'));
    assert.match(text, /^would write +unet\/model.onnx/m);
    assert.match(text, /^would copy +12 files/m);
  });

  it('takes several adapters, and those that are projected inside or hoisted', async () => {
    const { adapter, out, adapt } = pipeline;
    const run = async (...more: string[]) => {
      good(await adapt('--force', ...more));
      const { adaptation } = await readPipelineFolder(out);
      return adaptation!.adapters.map(({ projection, keysAndValues }) => [projection, keysAndValues]);
    };
    const first = 'image_proj/model.onnx';
    const second = 'image_proj_2/model.onnx';
    const third = 'image_kv/model.onnx';
    assert.deepEqual(await run('-a', adapter), [
      [first, null],
      [second, null],
    ]);
    assert.deepEqual(await run('--tokens', 'embeds'), [[null, null]]);
    assert.ok(!readdirSync(out).includes('image_proj'));
    assert.deepEqual(await run('--hoist', '-a', adapter), [
      [first, third],
      [second, 'image_kv_2/model.onnx'],
    ]);
    const kv = await load(join(out, third));
    assert.deepEqual(kv.inputs, ['ip_hidden_states']);
  });

  it('makes ControlNets leave the image tokens unused', async () => {
    const { base, out, adapt } = pipeline;
    const names = ['controlnet', 'controlnet_1'];
    const net = readFileSync(formPath('controlnet-ts17'));
    for (const name of names) {
      mkdirSync(join(base, name));
      writeFileSync(join(base, name, 'model.onnx'), net);
    }
    const report = JSON.parse(good(await adapt('--json')).stdout) as AdaptReport;
    const dropping = await written(
      'compile',
      join(base, 'controlnet', 'model.onnx'),
      '--drop-image-tokens',
      '4',
    );
    for (const name of names) assert.ok(readFileSync(join(out, name, 'model.onnx')).equals(dropping), name);
    assert.deepEqual(
      report.controlnets.map(({ name }) => name),
      names,
    );
    assert.deepEqual(
      report.adaptation.controlnets,
      names.map((name) => `${name}/model.onnx`),
    );
    // Image tokens that have an input of their own never reach one.
    good(await adapt('--tokens', 'input', '--force'));
    assert.ok(readFileSync(join(out, 'controlnet', 'model.onnx')).equals(net));
    assert.deepEqual((await readPipelineFolder(out)).adaptation!.controlnets, []);
  });

  it('draws what diffusers draws: four guided DDIM steps from the files of the adapted folder', async () => {
    const { base, out, adapt } = pipeline;
    good(await adapt());
    const reference = await readReference(join(dirname(base), 'reference.safetensors'));
    const projection = await load(join(out, 'image_proj', 'model.onnx'));
    const zeros = { dims: [1, 20], data: new Float32Array(20) };
    const negative = (await projection.run({ image_embeds: zeros })).get('ip_hidden_states')!;
    assert.ok(largestDifference(negative.data, reference.get('negative_image_tokens').data) <= 1e-5);
    const unet = await load(join(out, 'unet', 'model.onnx'));
    const guided = (scale: number) => {
      const predict = async (sample: Float32Array, timestep: number, which: '' | 'negative_') => {
        const text = appendTokens(
          reference.get(`${which}prompt_embeds`),
          reference.get(`${which}image_tokens`),
        );
        const feeds: Record<string, Values> = {
          sample: { dims: [1, 4, 16, 16], data: sample },
          timestep: { dims: [], data: new Float32Array([timestep]) },
          encoder_hidden_states: text,
          ip_scale: { dims: [1], data: new Float32Array([scale]) },
        };
        return (await unet.run(feeds)).get('out_sample')!.data;
      };
      return ddim(reference.get('latents').data, predict);
    };
    const denoised = reference.get('denoised').data;
    const difference = largestDifference(await guided(0.6), denoised);
    assert.ok(difference <= 1e-4, `${difference}`);
    assert.ok(largestDifference(await guided(0), denoised) >= 1);
    await Promise.all([unet.release(), projection.release()]);
  });
});

/** Four steps of DDIM with guidance 7.5, as fixtures/generate/pipeline.py runs it in diffusers. */
async function ddim(
  latents: Float32Array,
  predict: (sample: Float32Array, timestep: number, which: '' | 'negative_') => Promise<Float32Array>,
): Promise<Float32Array> {
  const alphas: number[] = [];
  for (let i = 0, product = 1; i < 1000; i++) {
    const root = Math.sqrt(0.00085) + (i / 999) * (Math.sqrt(0.012) - Math.sqrt(0.00085));
    product *= 1 - root * root;
    alphas.push(product);
  }
  let sample = latents;
  for (const timestep of [751, 501, 251, 1]) {
    const negative = await predict(sample, timestep, 'negative_');
    const positive = await predict(sample, timestep, '');
    const alpha = alphas[timestep]!;
    const next = alphas[timestep - 250] ?? 1;
    sample = sample.map((value, i) => {
      const noise = negative[i]! + 7.5 * (positive[i]! - negative[i]!);
      const original = (value - Math.sqrt(1 - alpha) * noise) / Math.sqrt(alpha);
      return Math.sqrt(next) * original + Math.sqrt(1 - next) * noise;
    });
  }
  return sample;
}
