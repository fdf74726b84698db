import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lintModel } from '../../runtime/package/triton/lint.js';
import { ipgraft } from '../command.js';
import { adapterPath, freshFolder, modelPath } from '../fixtures.js';
import { patchFile } from '../patched.js';
import { refusal } from '../refusal.js';

/** A batched, patched UNet in a repository, whose configuration each test spoils in one way. */
async function repository(...options: readonly string[]): Promise<string> {
  const folder = join(freshFolder(), 'models');
  const { path } = await patchFile(modelPath('sd15-sdpa-ts17'), [adapterPath('sd15', 'base')], {
    tokens: 'input',
  });
  const { stderr } = await ipgraft('package', 'triton', path, '-o', folder, ...options);
  assert.equal(stderr, '');
  return folder;
}

describe('the linter of a Triton repository', () => {
  let plain: string;
  let batched: string;

  before(async function () {
    this.timeout(120_000);
    [plain, batched] = [await repository(), await repository('--batched')];
  });

  const timestep =
    /(name: "timestep"\n {2}data_type: TYPE_INT64\n {2}dims: \[1\]\n)( {2}reshape {[\s\S]*?\n {2}}\n)?/;

  for (const [title, which, spoil, message] of [
    ['another name', 'plain', [/name: "unet"/, 'name: "other"'], /name: sought the name of its folder/],
    ['another backend', 'plain', [/"onnxruntime"/, '"pytorch"'], /backend: sought “onnxruntime”/],
    ['no backend', 'plain', [/backend: "onnxruntime"\n/, ''], /a backend or a platform, found neither/],
    ['no max_batch_size', 'plain', [/max_batch_size: 0\n/, ''], /max_batch_size: sought one/],
    ['an input that is none', 'plain', [/name: "sample"\n/, 'name: "latents"\n'], /“sample” is missing/],
    [
      'an input left out',
      'plain',
      [/input {\n {2}name: "ip_scale"[\s\S]*?\n}\n/, ''],
      /“ip_scale” is missing/,
    ],
    ['an output left out', 'plain', [/output {[\s\S]*?\n}\n/, ''], /output: .*“out_sample” is missing/],
    ['another datatype', 'plain', [/TYPE_INT64/, 'TYPE_INT32'], /the model has INT64, it says INT32/],
    ['another rank', 'plain', [/\[-1, 4, -1, -1\]/, '[-1, 4, -1]'], /the model has \[-1, 4, -1, -1\]/],
    ['another size', 'plain', [/\[-1, 4, -1, -1\]/, '[-1, 5, -1, -1]'], /it says \[-1, 5, -1, -1\]/],
    [
      'a narrower output',
      'plain',
      [/(out_sample"\n {2}data_type: TYPE_FP32\n {2}dims: )\[-1, 4, -1, -1\]/, '$1[-1, 4, 64, 64]'],
      /output “out_sample”: the model has \[-1, 4, -1, -1\]/,
    ],
    [
      'an empty reshape without a batch',
      'plain',
      [timestep, '$1  reshape { shape: [] }\n'],
      /an empty reshape/,
    ],
    [
      'no reshape of a row’s number',
      'batched',
      [timestep, '$1'],
      /“timestep”: the model has \[-1\], it says \[-1, 1\]/,
    ],
    ['dims with the batch', 'batched', [/\[4, -1, -1\]/, '[-1, 4, -1, -1]'], /it says \[-1, -1, 4, -1, -1\]/],
    [
      'a batch that the model does not have',
      'plain',
      [/max_batch_size: 0/, 'max_batch_size: 2'],
      /“timestep” is \[\]/,
    ],
    [
      'batching without a batch',
      'plain',
      [/$/, 'dynamic_batching {}'],
      /dynamic_batching: sought max_batch_size above 0/,
    ],
    [
      'batches above the largest',
      'batched',
      [/preferred_batch_size: \[2, 4, 8\]/, 'preferred_batch_size: [16]'],
      /preferred_batch_size: sought 1 to 8, found 16/,
    ],
    [
      'an optional input with a batch',
      'batched',
      [/(name: "ip_scale"\n)/, '$1  optional: true\n'],
      /optional/,
    ],
    ['no count of instances', 'plain', [/ {2}count: 1\n/, ''], /instance_group: sought a count/],
    [
      'labels that are not there',
      'plain',
      [/(output {\n)/, '$1  label_filename: "labels.txt"\n'],
      /label_filename: sought the file labels\.txt/,
    ],
    [
      'a warm-up without an input',
      'plain',
      [/ {2}inputs {\n {4}key: "ip_scale"[\s\S]*?\n {4}}\n {2}}\n/, ''],
      /model_warmup “sample”: input “ip_scale” is missing/,
    ],
    [
      'a warm-up of another shape',
      'plain',
      [/dims: \[2, 4, 64, 64\]/, 'dims: [2, 3, 64, 64]'],
      /input “sample”: sought TYPE_FP32 \[-1, 4, -1, -1\]/,
    ],
    ['another file', 'plain', [/$/, 'default_model_filename: "other.onnx"'], /found no such file/],
    ['no such field', 'plain', [/$/, 'max_batchsize: 3'], /max_batchsize/],
  ] as const)
    it(`refuses ${title}`, async () => {
      const repository = which === 'plain' ? plain : batched;
      const path = join(repository, 'unet', 'config.pbtxt');
      const config = readFileSync(path, 'utf8');
      const spoiled = config.replace(spoil[0], spoil[1]);
      assert.notEqual(spoiled, config);
      writeFileSync(path, spoiled);
      try {
        await assert.rejects(lintModel(repository, 'unet', 'unet'), (error: Error) => {
          assert.match(error.message, message);
          return refusal('SERVER_CONFIG')(error);
        });
      } finally {
        writeFileSync(path, config);
      }
    });

  it('passes what is right, and refuses a model without a configuration or with data files that are gone', async () => {
    for (const folder of [plain, batched]) await lintModel(folder, 'unet', 'unet');
    rmSync(join(batched, 'unet', 'config.pbtxt'));
    await assert.rejects(lintModel(batched, 'unet', 'unet'), /sought one, found none/);
  });
});
