import assert from 'node:assert/strict';
import { readPipelineFolder } from '../../runtime/pipeline/folder/pipeline-folder.js';
import { generate } from '../../runtime/pipeline/generate.js';
import { loadComponent } from '../../runtime/pipeline/load-component.js';
import { openPipeline } from '../../runtime/pipeline/open-pipeline.js';
import { GENEROUS_LIMITS, pictureRequest } from '../../runtime/pipeline/request.js';
import { CASES, pictureFolder, type Way, worstOf } from '../pipeline/painted.js';

/** Of 255. */
const LIMIT = 2;

/** Every way to bring tokens and scales. */
const WAYS: readonly Way[] = (['split', 'input', 'embeds'] as const).flatMap((tokens) => [
  { tokens, scale: 'input' },
  { tokens, scale: 'layers' },
  { tokens, scale: 'rows' },
  { tokens, scale: 'optional=0.1' },
  { tokens, scale: 'input', hoist: true },
  { tokens, scale: 'layers', batched: true },
  { tokens, scale: 'input', adapted: true },
]);

describe('every picture that diffusers painted', () => {
  for (const name of Object.keys(CASES))
    it(name, async () => {
      const worst = await worstOf(name);
      assert.ok(worst <= LIMIT, `${worst} of 255`);
    });
});

describe('a picture in every way of bringing tokens and scales', () => {
  for (const name of ['sd15 ddim', 'sd15 plus', 'sd15 a face and its crop'])
    for (const way of WAYS)
      it(`${name}: ${JSON.stringify(way)}`, async () => {
        const worst = await worstOf(name, way);
        assert.ok(worst <= LIMIT, `${worst} of 255`);
      });
});

describe('a picture whose UNet has an axis of rows everywhere', () => {
  for (const [name, way] of [
    ['lcm', {}],
    ['sd15 masks', {}],
    ['sd15 two pictures', { scale: 'rows' }],
    ['sdxl style alone', {}],
  ] as const)
    it(name, async () => {
      const worst = await worstOf(name, { ...way, batched: true });
      assert.ok(worst <= LIMIT, `${worst} of 255`);
    });
});

describe('pictures in float16', () => {
  it('are near those of float32, whose numbers they round', async () => {
    const worst = await worstOf('sd15 without an adapter', { half: true });
    console.log(`    ${worst} of 255`);
    assert.ok(worst > 0 && worst <= LIMIT, `${worst} of 255`);
  });
});

describe('two hundred pictures', () => {
  it('take no more memory than the first ones', async () => {
    const { folder } = await pictureFolder('sd15', []);
    const pipeline = await openPipeline(await readPipelineFolder(folder), loadComponent);
    const after: number[] = [];
    for (let seed = 0; seed < 200; seed++) {
      const request = pictureRequest(
        { prompt: 'a fox', steps: 2, width: 32, height: 32, seed },
        GENEROUS_LIMITS,
      );
      await generate(pipeline, request);
      if (seed % 20 === 19) after.push(process.memoryUsage().rss / 1e6);
    }
    console.log(`    ${after.map((each) => each.toFixed(0)).join(', ')} MB`);
    assert.ok(after.at(-1)! <= Math.max(...after.slice(0, 3)) + 40, after.join());
  });
});
