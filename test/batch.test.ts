import assert from 'node:assert/strict';
import { batchModel } from '../runtime/batch.js';
import { diff } from '../runtime/diff.js';
import { openAdapter, openModel } from '../runtime/open.js';
import { batchFile, holdsBatched } from './batch-checks.js';
import { ipgraft } from './command.js';
import { adapterPath, formPath, modelPath } from './fixtures.js';
import { kindPath } from './kinds.js';
import { type KindOptions, patchFile } from './patched.js';
import { refusal } from './refusal.js';

const [BASE, PLUS] = [adapterPath('sd15', 'base'), adapterPath('sd15', 'plus')];
const MODEL = 'sd15-sdpa-ts17';

/** A batch for a model file, or a refusal. */
async function tryBatch(path: string): Promise<void> {
  const opened = await openModel(path);
  try {
    batchModel(opened);
  } finally {
    await opened.close();
  }
}

describe('a batch for every input of a base', () => {
  for (const name of [MODEL, 'sd15-sdpa-dynamo23', 'sdxl-sdpa-dynamo18'])
    it(`${name}: each row is what it is alone, and undone it is the base`, () =>
      holdsBatched(modelPath(name), modelPath(name)));

  it('declares the batch that the model has, and says in its metadata that it did', async () => {
    const opened = await openModel(await batchFile(modelPath(MODEL)));
    const { inputs, metadata } = opened.graph;
    await opened.close();
    assert.deepEqual(inputs.get('timestep')!.shape, ['batch_size']);
    assert.equal(metadata.get('ipgraft.options'), '{"batched":true}');
  });

  it('what is batched already stays as it is', async () => {
    const opened = await openModel(await batchFile(modelPath(MODEL)));
    const again = batchModel(opened);
    await opened.close();
    assert.equal(again.isChanged, false);
    assert.equal(again.graph, opened.graph);
  });

  it('validate holds it against its base', async () => {
    const batched = await batchFile(modelPath(MODEL));
    const shapes = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
    const { code, stdout } = await ipgraft('validate', modelPath(MODEL), batched, ...shapes, '--json');
    assert.equal(code, 0);
    const [undone, off] = JSON.parse(stdout).checks;
    assert.deepEqual([undone.passed, off.passed, off.difference], [true, true, 0]);
  });
});

describe('a batch for every input of a patched model', () => {
  for (const [title, adapters, options] of [
    ['a scale for each adapter', [BASE, PLUS], { tokens: 'input' }],
    ['a scale for each layer', [BASE, PLUS], { tokens: 'split', scale: 'layers' }],
    ['a scale for each row', [BASE, PLUS], { tokens: 'embeds', scale: 'rows' }],
    ['masks', [BASE], { tokens: 'input', masks: true, images: [2] }],
    ['keys and values from elsewhere', [BASE], { hoist: true }],
    ['a weight type', [BASE], { tokens: 'input', weightType: { name: 'ease-in' } }],
    ['scaled keys and values', [BASE], { tokens: 'input', embedsScaling: 'k+mean-v-penalty' }],
  ] as const satisfies readonly (readonly [string, readonly string[], KindOptions])[]) {
    it(`${title}: each row is what it is alone, and undone it is the base`, async () => {
      const model = modelPath('sd15-sdpa-dynamo18');
      const { path } = await patchFile(model, adapters, options);
      await holdsBatched(model, path);
    });
  }

  it('what a merged LoRA, a linear layer of the text and a ControlNet have is batched too', async () => {
    const faceid = await patchFile(modelPath(MODEL), [kindPath('faceid.adapter.bin')], { tokens: 'input' });
    await holdsBatched(modelPath(MODEL), faceid.path);
    const kolors = kindPath('kolors-ts17.onnx');
    const plus = await patchFile(kolors, [kindPath('kolors-plus.adapter.safetensors')], { tokens: 'input' });
    await holdsBatched(kolors, plus.path);
    const controlNet = formPath('controlnet-ts17');
    await holdsBatched(controlNet, (await patchFile(controlNet, [], { dropImageTokens: 16 })).path);
  });

  it('is what a compilation with the adapter’s file and the same batch gives', async () => {
    const { path } = await patchFile(modelPath(MODEL), [BASE], { tokens: 'input', scale: 'layers' });
    const [a, b] = [await openModel(modelPath(MODEL)), await openModel(await batchFile(path))];
    const adapter = await openAdapter(BASE);
    try {
      const { proof } = await diff(a, b, { adapters: [adapter] });
      assert.deepEqual([proof!.source, proof!.faults, proof!.open], ['recomputed', [], []]);
      assert.ok(proof!.holds);
    } finally {
      await Promise.all([a, b, adapter].map((file) => file.close()));
    }
  });

  for (const options of [
    { tokens: 'input' },
    { scale: 'layers' },
    { tokens: 'input', masks: true, images: [2] },
  ] as const satisfies readonly KindOptions[])
    it(`compiled with ${JSON.stringify(options)}, validate recomputes every cross-attention`, async () => {
      const base = modelPath('sd15-sdpa-dynamo18');
      const { path } = await patchFile(base, [BASE], options);
      const shapes = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
      const { code, stdout } = await ipgraft('validate', base, await batchFile(path), ...shapes, '--json');
      const { passed, checks, sites } = JSON.parse(stdout);
      assert.deepEqual([code, passed], [0, true], JSON.stringify(checks));
      assert.ok(sites.length > 0);
    });
});

describe('no batch for', () => {
  for (const [title, path, names] of [
    ['a base of fixed sizes', () => modelPath('sd15-sdpa-ts17-static'), /input sample is \[2, 4, 16, 16\]/],
    ['a base of fixed frames', () => formPath('motion-classic-ts17'), /input sample is \[2, 4, 2, 8, 8\]/],
    [
      'a scale with a default',
      async () => (await patchFile(modelPath(MODEL), [BASE], { scale: 'optional=0.6' })).path,
      /input ip_scale is optional/,
    ],
    [
      'rows that are told apart by their place',
      async () =>
        (
          await patchFile(modelPath('sd15-sdpa-dynamo18'), [BASE], {
            weightType: { name: 'composition-precise' },
          })
        ).path,
      /negative rows/,
    ],
  ] as const) {
    it(`${title}: MODEL_NOT_BATCHED says which`, async () => {
      const message = await tryBatch(await path()).then(
        () => assert.fail('it was batched'),
        (error: Error) => refusal('MODEL_NOT_BATCHED')(error) && error.message,
      );
      assert.match(String(message), names);
    });
  }
});
