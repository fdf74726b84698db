import assert from 'node:assert/strict';
import { join } from 'node:path';
import { writeFiles } from '../../compiler/io/write-files.js';
import type { Pass } from '../../compiler/pass.js';
import { insertImageMask } from '../../passes/insert-image-mask.js';
import type { CrossAttention } from '../../passes/locate-cross-attention.js';
import { imageMaskOf } from '../../passes/names.js';
import { fillSkeleton } from '../../runtime/skeleton.js';
import { freshFolder } from '../fixtures.js';
import { kindPath, metadataOf } from '../kinds.js';
import { largestDifference, type Reference, readReference, type Values } from '../numbers.js';
import { load, type Session } from '../session.js';

/** A model that is nothing but the mask of one attention with as many queries as `states` [1, S, 1] has rows: → [1, S, 1]. */
async function maskModel(opset: number): Promise<Session> {
  const attention = {
    exit: { value: 'states', node: 'mask', input: 0 },
    place: { part: 'down', numbers: [0] },
    dataType: 'float',
  } as unknown as CrossAttention;
  const stream = { index: 0, adapter: 0, tokens: 1, tokenWidth: 1, states: '' };
  const inner = insertImageMask({ streams: [stream], attentions: [attention] });
  const pass: Pass = {
    ...inner,
    run: (graph, history) => [
      ...inner.run(graph, history),
      { kind: 'rewire', node: 'mask', input: 0, from: 'states', to: imageMaskOf(attention, 0) },
    ],
  };
  const shape = [1, 'queries', 1];
  const model = await fillSkeleton(
    'mask',
    [{ name: 'states', dataType: 'float', shape }],
    { name: 'mask', dataType: 'float', shape },
    pass,
    { irVersion: 8, opset },
  );
  const path = join(freshFolder(), 'mask.onnx');
  await writeFiles([{ path, content: model }]);
  return load(path);
}

async function downsample(session: Session, mask: Values, queries: number): Promise<Float32Array> {
  const [height, width] = mask.dims as [number, number];
  const results = await session.run({
    states: { dims: [1, queries, 1], data: new Float32Array(queries) },
    ip_mask: { dims: [1, 1, height, width], data: mask.data },
  });
  return results.get('mask')!.data;
}

describe('the mask of an image, brought down to the queries', () => {
  const grids = JSON.parse(metadataOf('downsample.safetensors').grids!) as Record<
    string,
    Record<string, [rows: number, columns: number]>
  >;
  let expected: Reference;

  before(async () => {
    expected = await readReference(kindPath('downsample.safetensors'));
  });

  for (const opset of [11, 13, 18])
    it(`opset ${opset}: diffusers’ numbers, for every mask and number of queries`, async () => {
      const session = await maskModel(opset);
      for (const [name, sizes] of Object.entries(grids)) {
        for (const [queries, grid] of Object.entries(sizes)) {
          const found = await downsample(session, expected.get(`${name}.mask`), Number(queries));
          const wanted = expected.get(`${name}.S${queries}`).data;
          const difference = largestDifference(found, wanted);
          assert.ok(difference <= 1e-5, `${name} at ${queries} (${grid.join(' × ')}): ${difference}`);
        }
      }
      await session.release();
    });

  it('worked out by hand: Keys’ cubic with A = -0.75', async () => {
    const session = await maskModel(17);
    const half = Float32Array.from({ length: 64 }, (_, i) => Number(i % 8 >= 3));
    const rows = await downsample(session, { dims: [8, 8], data: half }, 16);
    assert.ok(largestDifference(rows.subarray(0, 4), [0, 0.5, 1, 1]) <= 1e-6);
    const ramp = Float32Array.from({ length: 36 }, (_, i) => i / 35);
    const found = await downsample(session, { dims: [6, 6], data: ramp }, 16);
    assert.ok(largestDifference(found.subarray(0, 4), [0.0383, 0.0815, 0.127, 0.1702]) <= 1e-4);
    assert.ok(largestDifference(found.subarray(12), [0.8298, 0.873, 0.9185, 0.9617]) <= 1e-4);
    await session.release();
  });
});
