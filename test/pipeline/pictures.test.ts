import assert from 'node:assert/strict';
import { type Way, worstOf } from './painted.js';

/** Of 255. */
const LIMIT = 2;

/** One of each kind; the slow suite has all. */
const FEW: readonly (readonly [string, Way?])[] = [
  ['sd15 euler-a', { tokens: 'split', scale: 'input' }],
  ['sd2 dpmpp-2m', { tokens: 'embeds', scale: 'input' }],
  ['sdxl euler', { tokens: 'input', scale: 'optional=0.3' }],
  ['sd15 plus'],
  ['sd15 masks'],
  ['sd15 pndm from an image'],
  ['sd15 lcm inside a mask'],
  ['inpainting ddim'],
  ['sd15 a face and its crop'],
  ['sd15 two adapters by block', { batched: true }],
];

describe('pictures', () => {
  for (const [name, way = {}] of FEW)
    it(`are diffusers’: ${name}`, async () => {
      const worst = await worstOf(name, way);
      assert.ok(worst <= LIMIT, `${worst} of 255`);
    });
});
