import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelInterface } from '../../runtime/serve/backend.js';
import { NO_CONFIG } from '../../runtime/serve/config/model-config.js';
import { offerPipelines } from '../../runtime/serve/ensemble/offer-pipelines.js';
import type { LoadedModel } from '../../runtime/serve/repository/loaded-model.js';
import type { ModelKind } from '../../runtime/serve/repository/model-kind.js';
import { InferenceStatistics } from '../../runtime/serve/statistics.js';
import { echoModel } from './echo-model.js';
import { ask, stopServers } from './http-server.js';
import {
  direct,
  encoderModel,
  hoisted,
  IMAGE,
  input,
  projection,
  repositoryOf,
  serveFolder,
} from './image-models.js';

type Shapes = Readonly<Record<string, readonly number[]>>;

/** A model by its kind and tensors, all FP32. */
function model(name: string, kind: ModelKind, inputs: Shapes, outputs: Shapes): LoadedModel {
  const tensors = (shapes: Shapes) =>
    Object.entries(shapes).map(([name, shape]) => ({
      name,
      datatype: 'FP32' as const,
      shape,
      optional: false,
    }));
  const served: ModelInterface = { inputs: tensors(inputs), outputs: tensors(outputs) };
  return {
    name,
    version: '1',
    kind,
    model: { ...echoModel(), ...served },
    config: NO_CONFIG,
    statistics: new InferenceStatistics(),
    loadSeconds: 0,
  };
}

const encoder = (name: string, outputs: Shapes) =>
  model(name, 'image_encoder', { pixel_values: [-1, 3, 224, 224] }, outputs);
const VIT_H = { image_embeds: [-1, 1024] };
const base = model(
  'base',
  'image_projection',
  { image_embeds: [-1, 1024] },
  { ip_hidden_states: [-1, 4, 768] },
);
const plus = model(
  'plus',
  'image_projection',
  { image_embeds: [-1, -1, 1280] },
  { ip_hidden_states: [-1, 16, 768] },
);

/** What is offered, in words, and what is said of it. */
function offered(...models: LoadedModel[]) {
  const notes: string[] = [];
  const pipelines = offerPipelines(models, (text) => notes.push(text)).map(
    ({ name, config }) =>
      `${name}: ${config.steps.map(({ model, inputs }) => `${model}(${[...inputs.values()].join()})`).join(' → ')} → ${config.outputs[0]!.name}`,
  );
  return { pipelines, notes };
}

describe('pipelines that are offered', () => {
  it('from the pooled embedding to a base projection', () => {
    assert.deepEqual(offered(base, encoder('vit', VIT_H)), {
      pipelines: ['base_pipeline: vit(pixel_values) → base(vit.image_embeds) → ip_hidden_states'],
      notes: [],
    });
  });

  it('from the last but one hidden states to a plus projection, and from no others', () => {
    const numbered = Object.fromEntries(
      Array.from({ length: 12 }, (_, i) => [`hidden_states.${i}`, [-1, 257, 1280]]),
    );
    const { 'hidden_states.5': _, ...gap } = numbered;
    for (const [outputs, tensor] of [
      [numbered, 'hidden_states.10'],
      [{ ...VIT_H, penultimate_hidden_states: [-1, 257, 1280] }, 'penultimate_hidden_states'],
      [{ hidden_states: [-1, -1, 1280] }, 'hidden_states'],
      [gap, undefined],
      [{ 'hidden_states.31': [-1, 257, 1280] }, undefined],
      [{ ...VIT_H, last_hidden_state: [-1, 257, 1280] }, undefined],
      [{ hidden_states: [-1, 257, 1664] }, undefined],
      [{ hidden_states: [-1, 257, -1] }, undefined],
    ] as const)
      assert.deepEqual(
        offered(plus, encoder('vit', outputs)).pipelines,
        tensor === undefined
          ? []
          : [`plus_pipeline: vit(pixel_values) → plus(vit.${tensor}) → ip_hidden_states`],
      );
  });

  it('each projection has its own; other widths do not disturb', () => {
    const big = encoder('big', { image_embeds: [-1, 1280] });
    const vit = encoder('vit', { ...VIT_H, hidden_states: [-1, 257, 1280] });
    assert.deepEqual(offered(base, big, plus, vit), {
      pipelines: [
        'base_pipeline: vit(pixel_values) → base(vit.image_embeds) → ip_hidden_states',
        'plus_pipeline: vit(pixel_values) → plus(vit.hidden_states) → ip_hidden_states',
      ],
      notes: [],
    });
  });

  it('none where two encoders fit, which is said', () => {
    assert.deepEqual(offered(base, encoder('one', VIT_H), encoder('two', VIT_H)), {
      pipelines: [],
      notes: ['no pipeline to “base” is offered: “one” and “two” give what it reads'],
    });
  });

  it('a face beside the image is an input of the pipeline', () => {
    const face = model(
      'face',
      'image_projection',
      { image_embeds: [-1, -1, 1280], id_embeds: [-1, 512] },
      { ip_hidden_states: [-1, 4, 768] },
    );
    const vit = encoder('vit', { hidden_states: [-1, 257, 1280] });
    assert.deepEqual(offered(face, vit).pipelines, [
      'face_pipeline: vit(pixel_values) → face(vit.hidden_states,id_embeds) → ip_hidden_states',
    ]);
    const [pipeline] = offerPipelines([face, vit], () => {});
    assert.deepEqual(
      pipeline!.config.inputs.map(({ name, dims }) => [name, dims]),
      [
        ['pixel_values', [-1, 3, 224, 224]],
        ['id_embeds', [-1, 512]],
      ],
    );
  });

  it('to keys and values, by way of the one projection whose tokens they read, or of embeddings', () => {
    const kv = model('kv', 'image_kv', { ip_hidden_states: [-1, 4, 768] }, { ip_kv: [-1, 4, 9999] });
    const direct = model('direct', 'image_kv', { image_embeds: [-1, 1024] }, { ip_kv: [-1, 4, 9999] });
    const vit = encoder('vit', VIT_H);
    assert.deepEqual(offered(vit, base, plus, kv, direct).pipelines.slice(1), [
      'kv_pipeline: vit(pixel_values) → base(vit.image_embeds) → kv(base.ip_hidden_states) → ip_kv',
      'direct_pipeline: vit(pixel_values) → direct(vit.image_embeds) → ip_kv',
    ]);
    const twin = { ...base, name: 'twin' };
    assert.deepEqual(offered(vit, base, twin, kv).notes, [
      'no pipeline to “kv” is offered: “base” and “twin” give what it reads',
    ]);
  });
});

interface ModelStatistics {
  readonly name: string;
  readonly execution_count: number;
  readonly inference_stats: Readonly<Record<'cache_hit' | 'cache_miss', { readonly count: number }>>;
}

describe('pipelines that are served', () => {
  afterEach(stopServers);

  it('from pixels to tokens, keys and values: bit for bit each model in turn, and each image once', async () => {
    const [encoder, base, plus, { kv }] = [
      encoderModel(4),
      await projection('base'),
      await projection('plus'),
      await hoisted('base'),
    ];
    const { url, models } = await serveFolder(repositoryOf({ encoder, base, plus, kv }));
    assert.deepEqual(
      models.map(({ name }) => name),
      ['base', 'base_pipeline', 'encoder', 'kv', 'kv_pipeline', 'plus', 'plus_pipeline'],
    );
    const { json: metadata } = await ask(`${url}/v2/models/plus_pipeline`);
    assert.equal(metadata.platform, 'ensemble');
    assert.deepEqual(metadata.inputs, [{ name: 'pixel_values', datatype: 'FP32', shape: [-1, 3, 4, 4] }]);
    assert.deepEqual(metadata.outputs, [{ name: 'ip_hidden_states', datatype: 'FP32', shape: [-1, 16, 24] }]);
    const pixels = input('pixel_values', [2, ...IMAGE]);
    const embeds = { ...(await direct(encoder, pixels, 'image_embeds')), name: 'image_embeds' };
    const states = { ...(await direct(encoder, pixels, 'hidden_states.3')), name: 'image_embeds' };
    const tokens = await direct(base, embeds, 'ip_hidden_states');
    const expected = {
      base_pipeline: tokens,
      plus_pipeline: await direct(plus, states, 'ip_hidden_states'),
      kv_pipeline: await direct(kv, tokens, 'ip_kv'),
    };
    for (let round = 0; round < 2; round++)
      for (const [name, output] of Object.entries(expected)) {
        const { status, json } = await ask(`${url}/v2/models/${name}/infer`, { body: { inputs: [pixels] } });
        assert.equal(status, 200, JSON.stringify(json));
        const { datatype: _, ...found } = json.outputs[0];
        assert.deepEqual(found, output, name);
      }
    const { json } = await ask(`${url}/v2/models/stats`);
    const counts = Object.fromEntries(
      (json.model_stats as readonly ModelStatistics[]).map(({ name, execution_count, inference_stats }) => [
        name,
        [execution_count, inference_stats.cache_hit.count, inference_stats.cache_miss.count],
      ]),
    );
    // The encoder ran once for its embedding, asked for by two pipelines, and once for its hidden states.
    assert.deepEqual(counts, {
      encoder: [2, 4, 2],
      base: [1, 3, 1],
      plus: [1, 1, 1],
      kv: [1, 1, 1],
      base_pipeline: [2, 0, 0],
      plus_pipeline: [2, 0, 0],
      kv_pipeline: [2, 0, 0],
    });
  });

  it('come and go with their models, leave their names to folders, and can be declined', async () => {
    const folder = repositoryOf({ encoder: encoderModel(), base: await projection('base') });
    const { url } = await serveFolder(folder, { modelControl: 'explicit' });
    const post = (path: string, body: unknown = {}) => ask(`${url}/v2/repository/${path}`, { body });
    const index = async () =>
      Object.fromEntries(
        (await post('index')).json.map(({ name, state }: { name: string; state: string }) => [name, state]),
      );
    await post('models/base/load');
    assert.deepEqual(await index(), { base: 'READY', encoder: 'UNAVAILABLE' });
    await post('models/encoder/load');
    assert.deepEqual(await index(), { base: 'READY', base_pipeline: 'READY', encoder: 'READY' });
    assert.equal((await post('models/base_pipeline/unload')).status, 200);
    assert.deepEqual(await index(), { base: 'READY', base_pipeline: 'UNAVAILABLE', encoder: 'READY' });
    await post('models/encoder/load');
    assert.equal((await ask(`${url}/v2/models/base_pipeline/ready`)).status, 503);
    assert.equal((await post('models/base_pipeline/load')).status, 200);
    assert.equal((await ask(`${url}/v2/models/base_pipeline/ready`)).status, 200);
    await post('models/encoder/unload');
    assert.deepEqual(await index(), { base: 'READY', encoder: 'UNAVAILABLE' });
    assert.equal((await ask(`${url}/v2/models/base_pipeline/ready`)).status, 404);
    mkdirSync(join(folder, 'base_pipeline'));
    writeFileSync(
      join(folder, 'base_pipeline', 'config.pbtxt'),
      `input { name: "i" data_type: TYPE_FP32 dims: [-1, 20] } output { name: "o" data_type: TYPE_FP32 dims: [-1, 4, 24] }
       ensemble_scheduling { step { model_name: "base" input_map { key: "image_embeds" value: "i" } output_map { key: "ip_hidden_states" value: "o" } } }`,
    );
    await post('models/encoder/load');
    assert.equal((await index()).base_pipeline, 'UNAVAILABLE');
    assert.equal((await post('models/base_pipeline/load')).status, 200);
    assert.equal((await ask(`${url}/v2/models/base_pipeline`)).json.inputs[0].name, 'i');
  });

  it('one that is offered keeps no model that goes with an ensemble', async () => {
    const file = await projection('base');
    const config = `input { name: "i" data_type: TYPE_FP32 dims: [-1, 20] } output { name: "o" data_type: TYPE_FP32 dims: [-1, 4, 24] }
      ensemble_scheduling { step { model_name: "base" input_map { key: "image_embeds" value: "i" } output_map { key: "ip_hidden_states" value: "o" } } }`;
    const folder = repositoryOf({ encoder: encoderModel(), base: file, written: { config } });
    const { url } = await serveFolder(folder, { modelControl: 'explicit' });
    const post = (path: string, body: unknown = {}) => ask(`${url}/v2/repository/${path}`, { body });
    for (const model of ['encoder', 'written']) await post(`models/${model}/load`);
    const ready = async () =>
      (await post('index', { ready: true })).json.map(({ name }: { name: string }) => name);
    assert.deepEqual(await ready(), ['base', 'base_pipeline', 'encoder', 'written']);
    await post('models/written/unload', { parameters: { unload_dependents: true } });
    assert.deepEqual(await ready(), ['encoder']);
  });

  it('two encoders that fit: none, and the log says so once', async () => {
    const models = { one: encoderModel(), two: encoderModel(), base: await projection('base') };
    const { models: served, log } = await serveFolder(repositoryOf(models));
    assert.deepEqual(
      served.map(({ name }) => name),
      ['base', 'one', 'two'],
    );
    assert.deepEqual(
      log.filter(({ level }) => level === 40).map(({ msg }) => msg),
      ['no pipeline to “base” is offered: “one” and “two” give what it reads'],
    );
  });
});
