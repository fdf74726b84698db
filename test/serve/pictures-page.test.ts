import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import fc from 'fast-check';
import { type CommandFor, cliCommand } from '../../runtime/html/browser/pictures/cli-command.js';
import { curlCommand } from '../../runtime/html/browser/pictures/curl-command.js';
import { eventsOf } from '../../runtime/html/browser/pictures/event-stream.js';
import { placeOfField } from '../../runtime/html/browser/pictures/faults.js';
import { layerPresets } from '../../runtime/html/browser/pictures/layer-presets.js';
import { requestBody } from '../../runtime/html/browser/pictures/request-body.js';
import type { ServedAdapter, ServedPipeline } from '../../runtime/html/browser/pictures/served.js';
import { restored } from '../../runtime/html/browser/pictures/stored-settings.js';
import { typescriptCommand } from '../../runtime/html/browser/pictures/typescript-command.js';
import { scaleOf, type Wish } from '../../runtime/html/browser/pictures/wish.js';
import { SCHEDULER_NAMES } from '../../runtime/pipeline/schedulers/scheduler.js';
import { freshFolder } from '../fixtures.js';

const run = promisify(execFile);
/** What a shell, JSON, JavaScript or a here-document could take for its own. */
const HOSTILE = `'"\\\`$(touch hacked)\nJSON\n$HOME \${HOME} \\u0041 \\n 😀 %s <<X`;
/** The same for the name of a file. */
const FILE = `-o '"\\\`$(touch hacked)$HOME 😀 = é.png`;

const layersOf = (blocks: Readonly<Record<string, readonly number[]>>) =>
  Object.entries(blocks)
    .flatMap(([block, depths]) =>
      depths.flatMap((depth, i) =>
        Array.from({ length: depth }, (_, t) => `${block}.attentions.${i}.transformer_blocks.${t}.attn2`),
      ),
    )
    .map((path, n) => ({ path, id: 2 * n + 1 }));
const SD15 = layersOf({
  'down_blocks.0': [1, 1],
  'down_blocks.1': [1, 1],
  'down_blocks.2': [1, 1],
  'up_blocks.1': [1, 1, 1],
  'up_blocks.2': [1, 1, 1],
  'up_blocks.3': [1, 1, 1],
  mid_block: [1],
});
const SDXL = layersOf({
  'down_blocks.1': [2, 2],
  'down_blocks.2': [10, 10],
  'up_blocks.0': [10, 10, 10],
  'up_blocks.1': [2, 2, 2],
  mid_block: [10],
});

function adapterOf(scale: ServedAdapter['scale'], layers = SD15): ServedAdapter {
  return { name: 'a', family: 'base', images: 2, encoder: true, scale, default: 1, layers };
}

function pipelineOf(...adapters: readonly ServedAdapter[]): ServedPipeline {
  return {
    kind: 'sd',
    width: 512,
    height: 512,
    multiple: 64,
    schedulers: SCHEDULER_NAMES,
    scheduler: 'pndm',
    inpainting: false,
    init_images: true,
    masks: false,
    limits: { pixels: 1048576, steps: 150, pictures: 4, prompt: 4000 },
    adapters: [...adapters],
  };
}

const picked = (name: string) => ({ name, blob: new Blob(), url: '', width: 1, height: 1 });

/** Everything that can be asked for. */
const WISH: Wish = {
  model: 'tiny',
  prompt: HOSTILE,
  negative: '-',
  width: 512,
  height: 768,
  steps: 20,
  seed: 42,
  guidance: 6.5,
  scheduler: 'ddim',
  pictures: 1,
  strength: 0.55,
  adapters: [
    { scale: 0.5, shares: SD15.map((_, i) => (i === 1 ? 0.2 : 1)), start: 0, end: 0.9 },
    { scale: 0.7, shares: SD15.map(() => 1), start: 0.1, end: 1 },
  ],
  images: [[picked(FILE)], []],
  initImage: picked('start.png'),
  mask: picked('mask.png'),
};
const COMMAND: CommandFor = {
  wish: WISH,
  pipeline: pipelineOf(adapterOf('layers'), adapterOf('layers')),
  base: 'http://127.0.0.1:8000/',
  hasToken: true,
  output: 'out file.png',
};

/** A folder with the images that the commands name; each holds its own name. */
function withImages(): string {
  const folder = freshFolder();
  for (const name of [FILE, 'start.png', 'mask.png']) writeFileSync(join(folder, name), name);
  return folder;
}

/** The request's body with what stands in the files. */
const EXPECTED = requestBody(WISH, COMMAND.pipeline, ({ name }) => Buffer.from(name).toString('base64'));
const PICTURE = { data: [{ b64_json: Buffer.from('a picture').toString('base64') }] };

describe('commands of the page of pictures', () => {
  it('curl sends what the page sends, whatever prompt and files are called', async () => {
    const cwd = withImages();
    writeFileSync(join(cwd, 'answer.json'), JSON.stringify(PICTURE));
    // In the place of curl: its arguments a line each, then what it is given.
    const script = `curl() { printf '%q\\n' "$@"; echo; cat; }\n${curlCommand(COMMAND)}`;
    const env = { ...process.env, IPGRAFT_TOKEN: 'secret' };
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd, env });
    const [head, ...body] = stdout.split('\n\n');
    assert.match(head!, /http:\/\/127\.0\.0\.1:8000\/v1\/images\/generations/);
    assert.match(head!, /Authorization:\\ Bearer\\ secret/);
    assert.deepEqual(JSON.parse(body.join('\n\n')), EXPECTED);
    assert.equal(readFileSync(join(cwd, COMMAND.output), 'utf8'), 'a picture');
  });

  it('TypeScript does too', async () => {
    const cwd = withImages();
    const { code } = await transform(typescriptCommand(COMMAND), { loader: 'ts' });
    const fetched = `globalThis.fetch = async (_, { body, headers }) => {
      console.log(JSON.stringify({ body: JSON.parse(body), headers }));
      return Response.json(${JSON.stringify(PICTURE)});
    };`;
    const env = { ...process.env, IPGRAFT_TOKEN: 'secret' };
    const args = ['--input-type=module', '-e', `${fetched}\n${code}`];
    const { stdout } = await run(process.execPath, args, { cwd, env });
    const { body, headers } = JSON.parse(stdout);
    assert.deepEqual(body, EXPECTED);
    assert.equal(headers.Authorization, 'Bearer secret');
    assert.equal(readFileSync(join(cwd, COMMAND.output), 'utf8'), 'a picture');
  });

  it('the command line is told the same', async () => {
    const script = `ipgraft() { printf '%s\\0' "$@"; }\n${cliCommand(COMMAND)}`;
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script]);
    const [verb, folder, ...options] = stdout.split('\0').slice(0, -1);
    assert.deepEqual([verb, folder], ['generate', 'tiny']);
    const [first, second] = COMMAND.wish.adapters.map((each) => JSON.stringify(scaleOf(each, 'layers')));
    assert.deepEqual(options, [
      `--prompt=${HOSTILE}`,
      '--negative=-',
      `--image=1=${FILE}`,
      `--scale=${first}`,
      `--scale=${second}`,
      '--start=0',
      '--start=0.1',
      '--end=0.9',
      '--end=1',
      '--seed=42',
      '--steps=20',
      '--guidance=6.5',
      '--width=512',
      '--height=768',
      '--scheduler=ddim',
      '--init-image=start.png',
      '--strength=0.55',
      '--mask=mask.png',
      '--output=out file.png',
    ]);
  });
});

describe('what the page of pictures asks for', () => {
  it('a scale for each layer, one, or none, as the model takes them; adapters without images get nothing', () => {
    const of = (kind: ServedAdapter['scale']) => {
      const pipeline = pipelineOf(adapterOf(kind), adapterOf(kind));
      return requestBody(WISH, pipeline, () => 'x').image_prompts;
    };
    const layers = SD15.map((_, i) => (i === 1 ? 0.1 : 0.5));
    assert.deepEqual(of('layers'), [{ images: ['x'], scale: layers, end: 0.9 }, null]);
    assert.deepEqual(of('one'), [{ images: ['x'], scale: 0.5, end: 0.9 }, null]);
    assert.equal(JSON.stringify(of('fixed')), JSON.stringify([{ images: ['x'], end: 0.9 }, null]));
  });

  it('presets are the weight types that scales can say, for the architectures that they know', () => {
    const presets = (layers: typeof SD15) =>
      new Map(layerPresets(adapterOf('layers', layers)).map(({ name, shares }) => [name, shares]));
    for (const layers of [SD15, SDXL]) {
      assert.equal(presets(layers).size, 14);
      assert.ok([...presets(layers).values()].every((shares) => shares.length === layers.length));
    }
    const named = (name: 'style-transfer' | 'composition') =>
      new Set(SDXL.flatMap(({ path }, i) => (presets(SDXL).get(name)![i] === 1 ? [path.slice(0, 26)] : [])));
    assert.deepEqual([...named('style-transfer')], ['up_blocks.0.attentions.1.t']);
    assert.deepEqual([...named('composition')], ['down_blocks.2.attentions.1']);
    for (const layers of [SD15.slice(1), [{ path: 'x', id: 1 }]])
      assert.deepEqual([...presets(layers)], [['linear', layers.map(() => 1)]]);
  });

  it('settings of other versions and pipelines are taken where they fit', () => {
    const first = { steps: 25, prompt: '', adapters: [{ scale: 1, shares: [1, 1] }] };
    for (const [stored, expected] of [
      [{}, first],
      [null, first],
      [{ steps: '30', prompt: 7, adapters: 'x' }, first],
      [
        { steps: 30, other: 1 },
        { ...first, steps: 30 },
      ],
      [{ adapters: [{ scale: 0.5, shares: [1] }] }, { ...first, adapters: [{ scale: 0.5, shares: [1, 1] }] }],
      [{ adapters: [] }, first],
    ] as const)
      assert.deepEqual(restored(first, stored), expected);
  });

  it('events are read in whatever pieces they come', async () => {
    const events = [{ type: 'a', text: 'é\n' }, { type: 'b', step: 1 }, { type: 'c' }];
    const bytes = Buffer.from(
      events.map((each) => `: alive\n\nevent: ${each.type}\r\ndata: ${JSON.stringify(each)}\n\n`).join(''),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 20 }), async (cuts) => {
        const ends = [...cuts.sort((a, b) => a - b), bytes.length];
        const body = new ReadableStream({
          start(controller) {
            ends.forEach((end, i) => {
              controller.enqueue(bytes.subarray(ends[i - 1] ?? 0, end));
            });
            controller.close();
          },
        });
        const found = [];
        for await (const event of eventsOf(new Response(body))) found.push(event);
        assert.deepEqual(found, events);
      }),
      { numRuns: 200 },
    );
  });

  it('what the server says of a field is shown beside it, or below all', () => {
    assert.deepEqual(
      ['prompt', 'negative_prompt', 'size', 'guidance_scale', 'n', 'model', undefined].map(placeOfField),
      ['prompt', 'negative', 'size', 'guidance', 'pictures', 'all', 'all'],
    );
  });
});
