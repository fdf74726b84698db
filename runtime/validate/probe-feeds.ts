import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { MASK_INPUT } from '../../passes/insert-image-mask.js';
import { SCALE_INPUT } from '../../passes/scale-values.js';
import type { Values } from '../session/session.js';

/** Of the text's tokens every third is masked: among the first ones and the last ones, wherever somebody cuts image tokens out. */
const MASKED = 3;

/**
 * Inputs on which faults cannot hide: another scale between 0.5 and 1.5 for each adapter, layer and row, masks of numbers between 0 and 1,
 * and a text of which some tokens are masked, where the model takes a mask.
 */
export function probeFeeds(on: Readonly<Record<string, Values>>, seed: number): Record<string, Values> {
  const random = xoroshiro128plus(seed + 2);
  const filled = ({ dims, data }: Values, number: (i: number) => number): Values => ({
    dims,
    data: Float32Array.from(data, (_, i) => number(i)),
  });
  return Object.fromEntries(
    Object.entries(on).map(([name, values]) => {
      if (name === SCALE_INPUT) return [name, filled(values, () => 0.5 + uniformFloat64(random))];
      if (name === MASK_INPUT) return [name, filled(values, () => uniformFloat64(random))];
      if (/attention_mask/.test(name)) return [name, filled(values, (i) => (i % MASKED === 0 ? 0 : 1))];
      return [name, values];
    }),
  );
}
