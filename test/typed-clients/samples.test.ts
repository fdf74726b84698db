import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fixturePath } from '../fixtures.js';
import { clientOf } from './client.js';
import { sampleProjection, sampleUnet } from './samples.js';

/** `UPDATE_SAMPLES=1` writes what comes out instead of comparing; read the difference before you commit it. */
const UPDATE = process.env.UPDATE_SAMPLES === '1';

describe('samples of typed clients', () => {
  for (const [file, name, model] of [
    ['unet.ts', 'Unet', sampleUnet],
    ['image-proj.ts', 'ImageProj', sampleProjection],
  ] as const)
    it(file, async () => {
      const path = fixturePath('typed-clients', file);
      const text = await clientOf(await model(), { name });
      if (UPDATE) writeFileSync(path, text);
      assert.ok(existsSync(path), `there is no ${path}`);
      assert.equal(readFileSync(path, 'utf8'), text);
    });
});
