import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openAdapter } from '../../runtime/open.js';
import { projectionModel } from '../../runtime/project-image.js';
import { bytesIn } from '../compiler/generated-models.js';
import { adapterPath, FAMILIES, freshFolder, KINDS } from '../fixtures.js';
import { largestDifference, reference, type Values } from '../numbers.js';
import { load } from '../session.js';

const TOLERANCE = 1e-5;

/** Without the axis of the images: [B, 1, …] → [B, …]. */
function perRow({ dims, data }: Values): Values {
  return { dims: dims.toSpliced(1, 1), data };
}

describe('an image projection alone computes what diffusers computes', () => {
  for (const family of FAMILIES) {
    for (const kind of KINDS) {
      it(`${family} ${kind}`, async () => {
        const adapter = await openAdapter(adapterPath(family, kind));
        const path = join(freshFolder(), 'projection.onnx');
        writeFileSync(path, await bytesIn(await projectionModel(adapter)));
        await adapter.close();
        const expected = await reference(family, kind);
        const session = await load(path);
        assert.deepEqual(session.inputs, ['image_embeds']);
        const results = await session.run({ image_embeds: perRow(expected.get('image_embeds')) });
        await session.release();
        const tokens = results.get('ip_hidden_states')!;
        const sought = perRow(expected.get('ip_hidden_states'));
        assert.deepEqual(tokens.dims, sought.dims);
        const difference = largestDifference(tokens.data, sought.data);
        assert.ok(difference <= TOLERANCE, `${difference}`);
        assert.ok(tokens.data.some((value) => Math.abs(value) > 0.1));
      });
    }
  }
});
