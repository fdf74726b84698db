import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { TorchGenerator } from '../../runtime/pipeline/random/torch-generator.js';
import { fixturePath } from '../fixtures.js';
import { readReference } from '../numbers.js';

/** Of the longer results every so many numbers are kept. */
const KEPT = 97;
/** torch's vectorized logarithm, sine and cosine are not the exact ones. */
const TOLERANCE = 5e-7;

describe('random numbers as torch draws them', () => {
  const cases: { seed: string; counts: number[] }[] = JSON.parse(
    readFileSync(fixturePath('schedulers', 'randn.json'), 'utf8'),
  );

  for (const [number, { seed, counts }] of cases.entries()) {
    it(`seed ${seed}, ${counts.join(', ')} numbers`, async () => {
      const expected = await readReference(fixturePath('schedulers', 'randn.safetensors'));
      const generator = new TorchGenerator(BigInt(seed));
      for (const [call, count] of counts.entries()) {
        const drawn = generator.normal(count);
        assert.equal(drawn.length, count);
        const kept = count > 1000 ? drawn.filter((_, i) => i % KEPT === 0) : drawn;
        const { data } = expected.get(`${number}.${call}`);
        assert.equal(kept.length, data.length);
        kept.forEach((value, i) => {
          // One by one they are drawn in double precision, and are the same to the bit.
          if (count < 16) assert.equal(value, data[i]);
          else assert.ok(Math.abs(value - data[i]!) <= TOLERANCE, `${call}, ${i}: ${value} for ${data[i]}`);
        });
      }
    });
  }

  it('a seed is a number or a bigint', () => {
    assert.deepEqual(new TorchGenerator(42).normal(20), new TorchGenerator(42n).normal(20));
    assert.notDeepEqual(new TorchGenerator(42).normal(20), new TorchGenerator(43).normal(20));
  });
});
