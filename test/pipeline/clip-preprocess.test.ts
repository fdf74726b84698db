import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { clipPixels } from '../../runtime/pipeline/images/clip-preprocess.js';
import type { RgbImage } from '../../runtime/pipeline/images/rgb-image.js';
import { fixturePath } from '../fixtures.js';
import { readReference } from '../numbers.js';

/** Of results with more numbers than this one in so many is kept. */
const LONG = 10_000;
const KEPT = 53;

/** The picture that fixtures/generate/clip_preprocess.py describes. */
function picture(width: number, height: number): RgbImage {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => Math.imul(i, i) * 31 + i * 7 + Math.floor(i / 32) * 13,
  );
  return { width, height, data };
}

describe("pictures as transformers' CLIPImageProcessor prepares them", () => {
  const cases: { width: number; height: number; config: object; dims: number[] }[] = JSON.parse(
    readFileSync(fixturePath('clip', 'clip.json'), 'utf8'),
  );
  for (const [number, { width, height, config, dims }] of cases.entries()) {
    it(`${width} × ${height}, ${JSON.stringify(config)}`, async () => {
      const { data: expected } = (await readReference(fixturePath('clip', 'clip.safetensors'))).get(
        `${number}`,
      );
      const pixels = await clipPixels(picture(width, height), config);
      assert.deepEqual(pixels.dims, dims);
      const found = pixels.data.length > LONG ? pixels.data.filter((_, i) => i % KEPT === 0) : pixels.data;
      assert.equal(found.length, expected.length);
      // One of 255 more or less would be 4e-3.
      found.forEach((value, i) => {
        const allowed = 1e-6 * Math.max(1, Math.abs(expected[i]!));
        assert.ok(Math.abs(value - expected[i]!) <= allowed, `${i}: ${value} instead of ${expected[i]}`);
      });
    });
  }
});
