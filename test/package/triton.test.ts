import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { PackageTritonReport } from '../../runtime/cli/package-triton-command.js';
import { openModel } from '../../runtime/open.js';
import { contentOf, ipgraft, placeModel } from '../command.js';
import { adapterPath, closedFolder, formPath, freshFolder, modelPath } from '../fixtures.js';
import { largestDifference } from '../numbers.js';
import { patchFile } from '../patched.js';
import { ask, stopServers } from '../serve/http-server.js';
import { encoderModel, IMAGE, input, projection, serveFolder } from '../serve/image-models.js';
import { load } from '../session.js';

const MODEL = 'sd15-sdpa-dynamo18';
const BASE = adapterPath('sd15', 'base');

/** Packages into a new repository, and answers with it and what was said. */
async function packaged(
  ...args: readonly string[]
): Promise<{ folder: string; report: PackageTritonReport }> {
  const folder = join(freshFolder(), 'models');
  const { code, stdout, stderr } = await ipgraft('package', 'triton', ...args, '-o', folder, '--json');
  assert.deepEqual([code, stderr], [0, '']);
  return { folder, report: JSON.parse(stdout) as PackageTritonReport };
}

/** Packages what cannot be: nothing is left of it. */
async function refused(args: readonly string[], code: string, message: RegExp): Promise<void> {
  const parent = freshFolder();
  const outcome = await ipgraft('package', 'triton', ...args, '-o', join(parent, 'models'));
  assert.match(outcome.stderr, new RegExp(`^${code}: `));
  assert.match(outcome.stderr, message);
  assert.deepEqual(readdirSync(parent), []);
}

function configOf(folder: string, model: string): string {
  return readFileSync(join(folder, model, 'config.pbtxt'), 'utf8');
}

async function patched(options: Parameters<typeof patchFile>[2] = {}): Promise<string> {
  const { path } = await patchFile(modelPath(MODEL), [BASE], { tokens: 'input', ...options });
  return path;
}

/** A step of two rows, as requests of the protocol have it. */
function step(timestep: { shape: readonly number[]; data: readonly number[] }, scales: readonly number[]) {
  return [
    input('sample', [2, 4, 16, 16], 1),
    { name: 'timestep', datatype: 'INT64', ...timestep },
    input('encoder_hidden_states', [2, 7, 24], 2),
    input('ip_hidden_states', [2, 4, 24], 3),
    { name: 'ip_scale', datatype: 'FP32', shape: scales.length === 1 ? [1] : [2, 1], data: scales },
  ];
}

describe('ipgraft package triton', function () {
  this.timeout(300_000);
  after(stopServers);

  it('lays out UNet, projection, encoder and the ensemble of both, with all that Triton would have to guess', async () => {
    const { folder, report } = await packaged(await patched(), await projection('base'), encoderModel());
    assert.deepEqual(
      report.models.map(({ name, platform, maxBatchSize, edits }) => [name, platform, maxBatchSize, edits]),
      [
        ['unet', 'onnxruntime_onnx', 0, 0],
        ['image_projection', 'onnxruntime_onnx', 0, 0],
        ['image_encoder', 'onnxruntime_onnx', 0, 0],
        ['image_projection_pipeline', 'ensemble', 0, 0],
      ],
    );
    const listed = report.models.flatMap(({ name, files }) => files.map((file) => `${name}/${file.name}`));
    const found = Object.entries(contentOf(folder)).flatMap(([name, digest]) =>
      digest === 'folder' ? [] : [name],
    );
    assert.deepEqual(found.sort(), listed.sort());
    assert.ok(existsSync(join(folder, 'image_projection_pipeline', '1')));
    const config = configOf(folder, 'unet');
    assert.match(config, /name: "timestep"\n {2}data_type: TYPE_INT64\n {2}dims: \[1\]\n}/);
    assert.match(config, /name: "sample"\n {2}data_type: TYPE_FP32\n {2}dims: \[-1, 4, -1, -1\]\n}/);
    assert.match(config, /^max_batch_size: 0$/m);
    assert.doesNotMatch(config, /dynamic_batching|optimization|reshape/);
  });

  it('is served here: the ensemble gives what the encoder and the projection give', async () => {
    const { folder } = await packaged(await patched(), await projection('base'), encoderModel());
    const { url } = await serveFolder(folder);
    const infer = async (model: string, ...inputs: readonly object[]) => {
      const { status, json } = await ask(`${url}/v2/models/${model}/infer`, { body: { inputs } });
      assert.equal(status, 200, JSON.stringify(json));
      return json.outputs[0];
    };
    const picture = input('pixel_values', [2, ...IMAGE]);
    const embeds = await infer('image_encoder', picture);
    const apart = await infer('image_projection', { ...embeds, name: 'image_embeds' });
    const together = await infer('image_projection_pipeline', picture);
    assert.deepEqual(together.data, apart.data);
    await stopServers();
  });

  it('batched, a request brings [B, 1] where the model takes [B], and each row has its own timestep and scale', async () => {
    const model = await patched();
    const { folder, report } = await packaged(model, '--batched', '--max-batch', '4');
    assert.deepEqual([report.models[0]!.maxBatchSize, report.models[0]!.edits > 5], [4, true]);
    const config = configOf(folder, 'unet');
    assert.match(
      config,
      /name: "timestep"\n {2}data_type: TYPE_INT64\n {2}dims: \[1\]\n {2}reshape {\n {4}shape: \[\]/,
    );
    assert.match(config, /preferred_batch_size: \[2, 4\]/);
    const { url } = await serveFolder(folder);
    const { json: metadata } = await ask(`${url}/v2/models/unet`);
    assert.deepEqual(
      metadata.inputs.find(({ name }: { name: string }) => name === 'timestep').shape,
      [-1, 1],
    );
    const { json: read } = await ask(`${url}/v2/models/unet/config`);
    assert.deepEqual(read.input[1].reshape, { shape: [] });
    const inputs = step({ shape: [2, 1], data: [900, 10] }, [0.2, 1.5]);
    const { status, json } = await ask(`${url}/v2/models/unet/infer`, { body: { inputs } });
    assert.equal(status, 200, JSON.stringify(json));
    const session = await load(model);
    for (const [row, [timestep, scale]] of [
      [900, 0.2],
      [10, 1.5],
    ].entries()) {
      const feeds = step({ shape: [], data: [timestep!] }, [scale!]);
      const own = await session.run(
        Object.fromEntries(
          feeds.map(({ name, shape, data }) => [name, { dims: shape, data: Float32Array.from(data) }]),
        ),
      );
      const half = json.outputs[0].data.length / 2;
      const [found, expected] = [json.outputs[0].data, own.get('out_sample')!.data].map((data) =>
        data.slice(row * half, (row + 1) * half),
      );
      assert.ok(largestDifference(found, expected) < 1e-6, `row ${row}`);
    }
    await session.release();
    const wrong = step({ shape: [2], data: [900, 10] }, [0.2, 1.5]);
    assert.equal((await ask(`${url}/v2/models/unet/infer`, { body: { inputs: wrong } })).status, 400);
    await stopServers();
  });

  it('makes a model complete whose weights lie in its base, even if that is called model.onnx', async () => {
    const { folder: beside, base } = placeModel(MODEL);
    renameSync(base, join(beside, 'model.onnx'));
    const out = join(beside, 'patched.onnx');
    await ipgraft('compile', join(beside, 'model.onnx'), '-a', BASE, '-o', out);
    for (const batched of [[], ['--batched']]) {
      const { folder, report } = await packaged(out, ...batched);
      const names = report.models[0]!.files.map(({ name }) => name);
      assert.deepEqual(names, ['1/model.onnx', '1/model_2.onnx', 'config.pbtxt']);
      assert.match(configOf(folder, 'unet'), /default_model_filename: "model_2.onnx"/);
      await (await load(join(folder, 'unet', '1', 'model_2.onnx'))).release();
    }
  });

  it('copies the data files of a base under the names that it gives them', async () => {
    const { folder, report } = await packaged(formPath('compact-shards'), '--name', 'shards');
    const shards = [0, 1, 2].map((n) => `1/compact-shards.onnx_data_${n}`);
    assert.deepEqual(
      report.models[0]!.files.map(({ name }) => name),
      [...shards, '1/model.onnx', 'config.pbtxt'],
    );
    const opened = await openModel(join(folder, 'shards', '1', 'model.onnx'));
    await opened.close();
  });

  it('says on what to run', async () => {
    const base = modelPath(MODEL);
    const cpu = configOf((await packaged(base, '--cpu', '--instances', '2', '--no-warmup')).folder, 'unet');
    assert.match(cpu, /kind: KIND_CPU\n {2}count: 2/);
    assert.doesNotMatch(cpu, /model_warmup/);
    const tensorrt = configOf(
      (await packaged(base, '--accelerator', 'tensorrt', '--precision', 'bf16')).folder,
      'unet',
    );
    assert.match(tensorrt, /kind: KIND_GPU/);
    assert.match(
      tensorrt,
      /name: "tensorrt"\n {6}parameters {\n {8}key: "precision_mode"\n {8}value: "BF16"/,
    );
    assert.match(configOf((await packaged(base, '--accelerator', 'cuda')).folder, 'unet'), /name: "cuda"/);
  });

  it('replaces a model as a whole, with --force alone, and leaves the others', async () => {
    const { folder } = await packaged(modelPath('sd15-sdpa-ts17-external'));
    writeFileSync(join(folder, 'unet', '1', 'left.over'), '');
    mkdirSync(join(folder, 'other'));
    const again = ['package', 'triton', modelPath(MODEL), '-o', folder];
    const before = contentOf(folder);
    const { stderr } = await ipgraft(...again);
    assert.match(stderr, /^OUTPUT_EXISTS: unet exists already/);
    assert.deepEqual(contentOf(folder), before);
    assert.equal((await ipgraft(...again, '--force')).code, 0);
    assert.deepEqual(readdirSync(folder).sort(), ['other', 'unet']);
    assert.deepEqual(readdirSync(join(folder, 'unet', '1')), ['model.onnx']);
    const own = ['package', 'triton', join(folder, 'unet', '1', 'model.onnx'), '-o', folder, '--force'];
    assert.match((await ipgraft(...own)).stderr, /^OUTPUT_IS_INPUT: unet holds one of the inputs/);
    const link = join(freshFolder(), 'link');
    symlinkSync(folder, link);
    const held = contentOf(folder);
    const linked = await ipgraft(...own.map((arg) => (arg === folder ? link : arg)));
    assert.match(linked.stderr, /^OUTPUT_IS_INPUT: unet holds one of the inputs/);
    assert.deepEqual(contentOf(folder), held);
  });

  it('refuses what Triton would not load, and says what to do', async () => {
    const newer = formPath('compact-opset26');
    await refused(
      [newer],
      'PACKAGE_TOO_NEW',
      /opset 26 .*Triton 26\.04 .*1\.24\.4.*opset 25[\s\S]*--target 26\.07/,
    );
    await packaged(newer, '--target', '26.07');
    await refused(
      [modelPath('sd15-sdpa-dynamo23'), '--target', '24.12'],
      'PACKAGE_TOO_NEW',
      /--target 25\.08/,
    );
    await refused([modelPath(MODEL), '--target', '23.01'], 'OPTION_TARGET', /from 24\.04 to 26\.08/);
    await refused(
      [modelPath('sd15-sdpa-ts17-static'), '--batched'],
      'MODEL_NOT_BATCHED',
      /input sample is \[2, 4, 16, 16\]/,
    );
  });

  it('refuses options that make no sense', async () => {
    const base = modelPath(MODEL);
    for (const [args, message] of [
      [['--max-batch', '4'], /--max-batch goes with --batched/],
      [['--queue-delay', '4'], /--queue-delay goes with --batched/],
      [['--precision', 'fp16'], /--precision goes with --accelerator tensorrt/],
      [['--batched', '--max-batch', '0'], /sought a whole number from 1/],
      [['--size', '500x500'], /multiples of 64/],
      [['--name', 'a', '--name', 'b'], /2 names for 1 models/],
      [['--gpu', '--cpu'], /cannot be used with/],
    ] as const)
      await refused([base, ...args], 'OPTION_INVALID', message);
    await refused([base, '--name', '../out'], 'PACKAGE_NAME', /“\.\.\/out”/);
    await refused([base, base], 'PACKAGE_NAME', /two models would be called “unet”/);
  });

  it('leaves nothing where it cannot write', async () => {
    const folder = freshFolder();
    writeFileSync(join(folder, 'file'), '');
    const { stderr } = await ipgraft('package', 'triton', modelPath(MODEL), '-o', join(folder, 'file'));
    assert.match(stderr, /^OUTPUT_FAILED: /);
    const out = join(closedFolder(), 'models');
    const outcome = await ipgraft('package', 'triton', modelPath(MODEL), '-o', out);
    assert.match(outcome.stderr, /^OUTPUT_FAILED: .*(no permission|read-only)/);
    assert.equal(existsSync(out), false);
  });
});
