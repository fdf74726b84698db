import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPipelineFolder } from '../../runtime/pipeline/folder/pipeline-folder.js';
import { generate } from '../../runtime/pipeline/generate.js';
import { decodeImage } from '../../runtime/pipeline/images/decode-image.js';
import { loadComponent } from '../../runtime/pipeline/load-component.js';
import { openPipeline } from '../../runtime/pipeline/open-pipeline.js';
import type { Pipeline } from '../../runtime/pipeline/pipeline.js';
import { GENEROUS_LIMITS, type PictureRequestInput, pictureRequest } from '../../runtime/pipeline/request.js';
import { SCHEDULER_NAMES } from '../../runtime/pipeline/schedulers/scheduler.js';
import { fixturePath } from '../fixtures.js';
import { allEvents } from './event-stream.js';
import { ask, startServer, stopServers } from './http-server.js';
import { pipelinesFolder, startPictureServer } from './picture-server.js';

/** A picture of fixtures/pictures. */
const picture = (name: string) => readFileSync(fixturePath('pictures', 'images', `${name}.png`));
const base64 = (name: string) => picture(name).toString('base64');
const FOX = { prompt: 'a fox in the snow', steps: 2, seed: 5 };

/** A picture of an answer, decoded. */
async function decoded(b64: string) {
  return decodeImage(Buffer.from(b64, 'base64'), 'answer');
}

describe('pictures over HTTP', () => {
  let folder: string;
  let url: string;
  /** What `generate` makes of a request with the pipeline `adapted`. */
  let pipeline: Pipeline;
  const generated = (request: PictureRequestInput) =>
    generate(pipeline, pictureRequest(request, GENEROUS_LIMITS));
  const post = (body: unknown) => ask(`${url}/v1/images/generations`, { body });
  before(async () => {
    folder = await pipelinesFolder({
      adapted: [['sd15-base'], { tokens: 'embeds', scale: 'layers' }],
    });
    const load = (path: string) => loadComponent(path, { threads: 1 });
    pipeline = await openPipeline(await readPipelineFolder(join(folder, 'adapted')), load);
    const limits = { pixels: 96 * 64, steps: 20, pictures: 3, prompt: 500 };
    ({ url } = await startPictureServer(folder, { limits }));
  });
  after(stopServers);

  it('lists what is served as OpenAI lists models', async () => {
    const { json } = await ask(`${url}/v1/models`);
    assert.equal(json.object, 'list');
    assert.equal(json.data.length, 1);
    const [{ created, pipeline: about, ...model }] = json.data;
    assert.deepEqual(model, { id: 'adapted', object: 'model', owned_by: 'ipgraft' });
    assert.ok(Math.abs(created - Date.now() / 1000) < 60);
    const { schedulers, limits, adapters, ...facts } = about;
    assert.deepEqual(facts, {
      kind: 'sd',
      width: 32,
      height: 32,
      multiple: 16,
      scheduler: 'pndm',
      inpainting: false,
      init_images: true,
      masks: false,
    });
    assert.deepEqual(schedulers, SCHEDULER_NAMES);
    assert.deepEqual(limits, { pixels: 6144, steps: 20, pictures: 3, prompt: 500 });
    const [{ layers, ...adapter }] = adapters;
    assert.deepEqual(layers[0], { path: 'down_blocks.0.attentions.0.transformer_blocks.0.attn2', id: 1 });
    assert.ok(layers.at(-1).path.startsWith('mid_block.'));
    assert.deepEqual(adapter, {
      name: 'sd15-base.safetensors',
      family: 'base',
      images: 1,
      encoder: true,
      scale: 'layers',
      default: 1,
    });
  });

  it('makes the pictures that generate makes, pixel for pixel, with what they were made of in their files', async () => {
    const made = await generated({ ...FOX, pictures: 2, width: 48, height: 32, scheduler: 'euler-a' });
    const { status, json } = await post({ ...FOX, n: 2, size: '48x32', scheduler: 'euler-a' });
    assert.equal(status, 200);
    const { created, data, seconds, ...about } = json;
    assert.ok(Math.abs(created - Date.now() / 1000) < 60 && seconds > 0);
    assert.deepEqual(about, {
      size: '48x32',
      output_format: 'png',
      scheduler: 'euler-a',
      steps: 2,
      warnings: [],
    });
    assert.equal(data.length, 2);
    for (const [i, { b64_json, seed, index }] of data.entries()) {
      assert.deepEqual([seed, index], [5 + i, i]);
      assert.deepEqual(await decoded(b64_json), made.pictures[i]!.image);
      const file = Buffer.from(b64_json, 'base64').toString('latin1');
      assert.match(
        file,
        new RegExp(`parameters\0a fox in the snow\nSteps: 2, .*Seed: ${seed}, .*Model: adapted`),
      );
    }
  });

  it('takes images to look at, to start from and to paint in, in base64 and in data URLs', async () => {
    const load = async (name: string) => decodeImage(picture(name), name);
    const made = await generated({
      ...FOX,
      initImage: await load('scene'),
      mask: await load('mask'),
      strength: 0.5,
      adapters: [{ images: [await load('one')], scale: 0.4 }],
    });
    const { status, json } = await post({
      ...FOX,
      init_image: `data:image/png;base64,${base64('scene')}`,
      mask: base64('mask'),
      strength: 0.5,
      image_prompts: [base64('one')],
      scale: 0.4,
    });
    assert.equal(status, 200, JSON.stringify(json));
    assert.deepEqual(await decoded(json.data[0].b64_json), made.pictures[0]!.image);
    const same = await post({
      ...FOX,
      init_image: base64('scene'),
      mask: base64('mask'),
      strength: 0.5,
      image_prompts: [{ images: [base64('one')], scale: 0.4 }],
      scale: 0.9,
    });
    assert.equal(same.json.data[0].b64_json, json.data[0].b64_json);
  });

  it('streams the steps, previews, partial pictures and the picture itself', async () => {
    const { json } = await post({ ...FOX, n: 2, steps: 3, scheduler: 'ddim' });
    const events = await allEvents(`${url}/v1/images/generations`, {
      ...FOX,
      n: 2,
      steps: 3,
      scheduler: 'ddim',
      stream: true,
      previews: true,
      partial_images: 1,
    });
    const kinds = events.map(({ type }) => type.replace('image_generation.', ''));
    const step = ['step'];
    const partials = ['partial_image', 'partial_image'];
    assert.deepEqual(kinds, ['started', ...step, ...partials, ...step, ...step, 'completed', 'completed']);
    const [{ type: _, ...started }] = events as [(typeof events)[number]];
    assert.deepEqual(started, { steps: 3, size: '32x32', scheduler: 'ddim', seeds: [5, 6] });
    const steps = events.filter(({ type }) => type.endsWith('.step'));
    for (const [i, { step: number, steps: count, seconds, previews }] of steps.entries()) {
      assert.deepEqual([number, count, previews.length], [i + 1, 3, 2]);
      assert.ok(seconds > 0);
      // Latents of 16 × 16: the tiny VAE halves them once.
      const { width, height } = await decoded(previews[0]);
      assert.ok(width === height && width < 32);
    }
    const [partial] = events.filter(({ type }) => type.endsWith('.partial_image'));
    assert.deepEqual(
      [partial!.partial_image_index, partial!.size, partial!.output_format],
      [0, '32x32', 'png'],
    );
    assert.equal((await decoded(partial!.b64_json)).width, 32);
    const completed = events.filter(({ type }) => type.endsWith('.completed'));
    for (const [i, { b64_json, seed, index, size, steps, scheduler, warnings }] of completed.entries()) {
      assert.equal(b64_json, json.data[i].b64_json);
      assert.deepEqual([seed, index, size, steps, scheduler, warnings], [5 + i, i, '32x32', 3, 'ddim', []]);
    }
  });

  it('sends JPEG and WebP, draws seeds and says them, and lets through what means nothing here', async () => {
    for (const [format, begin] of [
      ['jpeg', 'ffd8ff'],
      ['webp', '52494646'],
    ] as const) {
      const { json } = await post({
        ...FOX,
        output_format: format,
        output_compression: 60,
        quality: 'hd',
        user: 'me',
      });
      assert.equal(json.output_format, format);
      const file = Buffer.from(json.data[0].b64_json, 'base64');
      assert.ok(file.toString('hex').startsWith(begin));
    }
    const { seed: _, ...unseeded } = FOX;
    const [a, b] = [await post(unseeded), await post({ ...unseeded, seed: null })];
    assert.notEqual(a.json.data[0].seed, b.json.data[0].seed);
    const again = await post({ ...unseeded, seed: a.json.data[0].seed });
    assert.equal(again.json.data[0].b64_json, a.json.data[0].b64_json);
  });

  it('says what of a prompt was cut', async () => {
    const { status, json } = await post({ ...FOX, prompt: 'a fox '.repeat(80) });
    assert.equal(status, 200);
    assert.match(json.warnings[0], /^prompt: .*cut: /);
  });

  it('takes forms, with images as files', async () => {
    const form = (
      fields: Readonly<Record<string, string>>,
      files: Readonly<Record<string, readonly Uint8Array[]>>,
    ) => {
      const made = new FormData();
      for (const [name, text] of Object.entries(fields)) made.append(name, text);
      for (const [name, each] of Object.entries(files))
        for (const bytes of each) made.append(name, new Blob([new Uint8Array(bytes)]), 'image.png');
      return made;
    };
    const send = async (body: FormData | string, headers = {}) => {
      const answer = await fetch(`${url}/v1/images/generations`, { method: 'POST', body, headers });
      return { status: answer.status, text: await answer.text() };
    };
    const fields = { prompt: 'a fox in the snow', steps: '2', seed: '5', strength: '0.5' };
    const files = {
      image_prompts: [picture('one')],
      init_image: [picture('scene')],
      mask: [picture('mask')],
    };
    const sent = await send(form({ ...fields, scale: '0.4' }, files));
    assert.equal(sent.status, 200, sent.text);
    const { json } = await post({
      ...FOX,
      strength: 0.5,
      image_prompts: [base64('one')],
      scale: 0.4,
      init_image: base64('scene'),
      mask: base64('mask'),
    });
    assert.equal(JSON.parse(sent.text).data[0].b64_json, json.data[0].b64_json);
    const streamed = await send(form({ ...fields, stream: 'true' }, { 'image_prompts[]': [picture('one')] }));
    assert.match(streamed.text, /event: image_generation.completed/);
    const many = Array.from({ length: 65 }, () => Buffer.from('x'));
    for (const [refused, status, words] of [
      [form({ ...fields, steps: 'two' }, {}), 400, /steps: sought number, found “two”/],
      [form(fields, { document: [Buffer.from('x')] }), 400, /document: it takes no file/],
      [form(fields, { mask: [picture('mask'), picture('mask')] }), 400, /mask: it came twice/],
      [form(fields, { image_prompts: [picture('one'), picture('two')] }), 400, /each of 1 adapters, found 2/],
      [form(fields, { init_image: [Buffer.from('no image')] }), 400, /init_image: it is no image/],
      [form({ ...fields, image_prompts: '[null]' }, files), 400, /files or a field, found both/],
      [form(fields, { image_prompts: many }), 413, /limit/],
      [form(fields, { init_image: [Buffer.alloc(2 * 1024 * 1024)] }), 413, /maximum allowed/],
      [form(Object.fromEntries(many.map((_, i) => [`f${i}`, ''])), {}), 413, /limit/],
    ] as const) {
      const answer = await send(refused);
      assert.equal(answer.status, status, answer.text);
      assert.match(JSON.parse(answer.text).error.message, words);
    }
    const broken = { 'content-type': 'multipart/form-data; boundary=x' };
    for (const body of ['', '--x', '--x\r\ncontent-disposition: form-data; name="prompt"\r\n\r\nfox'])
      assert.equal((await send(body, broken)).status, 400, body);
    assert.equal((await send('', { 'content-type': 'multipart/form-data' })).status, 400);
    assert.equal((await send('--x--', { ...broken, 'content-encoding': 'gzip' })).status, 415);
  });

  for (const [what, fields, param, words] of [
    ['no prompt', { prompt: undefined }, 'prompt', /sought string, found nothing/],
    ['a long prompt', { prompt: 'x'.repeat(501) }, 'prompt', /500 characters at most, found 501/],
    ['steps beyond the limit', { steps: 21 }, 'steps', /20 at most, found 21/],
    ['half a step', { steps: 1.5 }, 'steps', /sought a whole number/],
    ['pictures beyond the limit', { n: 4 }, 'n', /3 at most, found 4/],
    ['pixels beyond the limit', { size: '128x64' }, 'size', /6144 pixels at most, found 128x64/],
    ['a side that the UNet does not halve', { size: '40x32' }, 'size', /a multiple of 16, found 40/],
    ['no size', { size: 'large' }, 'size', /WIDTHxHEIGHT/],
    ['a size of numbers without end', { size: `${'9'.repeat(400)}x1` }, 'size', /WIDTHxHEIGHT/],
    ['a scheduler that is none', { scheduler: 'best' }, 'scheduler', /one of ddim, .*found “best”/],
    ['guidance that is none', { guidance_scale: -1 }, 'guidance_scale', /0 at least, found -1/],
    ['a URL as the answer', { response_format: 'url' }, 'response_format', /b64_json/],
    ['a field that is none', { stepz: 3 }, 'stepz', /no such field/],
    ['a URL', { init_image: 'http://127.0.0.1/a.png' }, 'init_image', /not fetched/],
    ['a file', { image_prompts: ['file:///etc/passwd'] }, 'image_prompts[0]', /not fetched/],
    ['no base64', { init_image: 'AAA*AAAA' }, 'init_image', /not base64/],
    ['no image', { image_prompts: [btoa('<svg/>')] }, 'image_prompts[0]', /no image/],
    ['half an image', { init_image: base64('scene').slice(0, 40) }, 'init_image', /cannot be decoded/],
    ['a mask alone', { mask: base64('mask') }, 'init_image', /a picture to paint in/],
    [
      'images for no adapter',
      { image_prompts: [null, null] },
      'image_prompts',
      /each of 1 adapters, found 2/,
    ],
    [
      'more images than are read',
      { image_prompts: [{ images: [base64('one'), base64('one')] }] },
      'image_prompts[0]',
      /1 images at most, found 2/,
    ],
    [
      'a scale that is none',
      { image_prompts: [base64('one')], scale: 'much' },
      'image_prompts[0].scale',
      /number/,
    ],
    ['too few scales', { image_prompts: [base64('one')], scale: [1] }, null, /scales, one for each/],
  ] as const)
    it(`refuses ${what} by name`, async () => {
      const { status, json } = await post({ ...FOX, ...fields });
      assert.equal(status, 400);
      const { message, type, param: found, code } = json.error;
      assert.match(message, words);
      assert.deepEqual([type, found], ['invalid_request_error', param]);
      assert.match(code, /^PIPELINE_/);
    });

  it('refuses what is no JSON, a model that is not served, and other methods, in OpenAI’s form', async () => {
    for (const [body, status, words] of [
      ['{', 400, /no JSON/],
      ['', 400, /no JSON/],
      ['[]', 400, /sought object/],
      [{ ...FOX, model: 'dall-e-3' }, 404, /“dall-e-3”: sought adapted/],
    ] as const) {
      const answer = await post(body);
      assert.equal(answer.status, status);
      assert.match(answer.json.error.message, words);
    }
    const got = await ask(`${url}/v1/images/generations`);
    assert.deepEqual([got.status, got.headers.get('allow')], [405, 'POST']);
    assert.match(got.json.error.message, /GET is not for this path/);
  });

  it('counts in base units', async () => {
    const { bytes } = await ask(`${url}/metrics`);
    const value = (name: string) => Number(new RegExp(`^${name} (.+)$`, 'm').exec(String(bytes))?.[1]);
    const requests = value('ipgraft_picture_requests_total{model="adapted",outcome="painted"}');
    assert.ok(requests > 5);
    assert.ok(value('ipgraft_pictures_total{model="adapted"}') > requests);
    assert.equal(value('ipgraft_picture_seconds_count{model="adapted"}'), requests);
    assert.equal(value('ipgraft_picture_seconds_bucket{model="adapted",le="\\+Inf"}'), requests);
    assert.ok(value('ipgraft_step_seconds_count{model="adapted"}') > requests);
    assert.equal(value('ipgraft_picture_queue_depth{model="adapted"}'), 0);
  });
});

describe('a server without pipelines', () => {
  after(stopServers);

  it('lists none, and makes no picture', async () => {
    const { url } = await startServer();
    assert.deepEqual((await ask(`${url}/v1/models`)).json, { object: 'list', data: [] });
    const { status, json } = await ask(`${url}/v1/images/generations`, { body: FOX });
    assert.deepEqual([status, json.error.message], [404, 'no pipeline is served here']);
  });
});
