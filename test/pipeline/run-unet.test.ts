import assert from 'node:assert/strict';
import { loadComponent } from '../../runtime/pipeline/load-component.js';
import { runUnet } from '../../runtime/pipeline/unet/run-unet.js';
import { normalNumbers } from '../../runtime/validate/seeded-inputs.js';
import { adapterPath, modelPath } from '../fixtures.js';
import { largestDifference, type Values } from '../numbers.js';
import { patchFile } from '../patched.js';

const normal = normalNumbers(7);
const random = (...dims: number[]): Values => ({
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b) }, normal),
});

describe('a UNet that was exported for a fixed number of rows', () => {
  it('runs as often as it takes, with a scale for each row too', async () => {
    const load = async (name: string) =>
      loadComponent(
        (await patchFile(modelPath(name), [adapterPath('sd15', 'base')], { tokens: 'input', scale: 'rows' }))
          .path,
      );
    const fixed = await load('sd15-sdpa-ts17-static');
    const text = fixed.inputs.find(({ name }) => name === 'encoder_hidden_states')!.shape;
    const feeds = {
      sample: random(4, 4, 16, 16),
      timestep: { dims: [], data: Float32Array.of(500) },
      encoder_hidden_states: random(4, ...text.slice(1)),
      ip_hidden_states: random(4, 4, text[2]!),
      ip_scale: { dims: [1, 4], data: new Float32Array(4).fill(0.7) },
    };
    const whole = await runUnet(await load('sd15-sdpa-ts17'), feeds);
    const inParts = await runUnet(fixed, feeds);
    assert.deepEqual(inParts.dims, whole.dims);
    assert.ok(largestDifference(inParts.data, whole.data) <= 1e-5);
    const off = await runUnet(fixed, { ...feeds, ip_scale: { dims: [1, 4], data: new Float32Array(4) } });
    assert.ok(largestDifference(inParts.data, off.data) > 1e-2);
  });
});
