import type { CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { decodeFloats, encodeFloats, floatTypeOf } from '../../compiler/checkpoint/number-format.js';
import type { FloatType } from '../../compiler/onnx/data-type.js';
import type { ProducedSegment, Segment } from '../../compiler/wire/rope.js';
import { wholeSegment } from '../../compiler/wire/segment-bytes.js';

/** What is added to a weight: λ · up · down, with up [out, r] and down [r, in]. */
export interface LoraTerm {
  readonly down: CheckpointTensor;
  readonly up: CheckpointTensor;
  readonly scale: number;
}

/**
 * A weight [in, out] with LoRAs merged into it: `W + Σ λ · (up · down)ᵀ`, in float32, then rounded to `type` once. Made when it is
 * written: one weight at a time is in memory.
 */
export function mergedWeight(
  base: Segment,
  type: FloatType,
  [inputs, outputs]: readonly [number, number],
  terms: readonly LoraTerm[],
): ProducedSegment {
  return {
    kind: 'produced',
    length: base.length,
    async *produce() {
      const merged = decodeFloats(await wholeSegment(base), type).slice();
      for (const { down, up, scale } of terms) {
        const [d, u] = [await numbersOf(down), await numbersOf(up)];
        addProduct(merged, d, u, inputs, outputs, down.shape[0]!, scale);
      }
      yield encodeFloats(merged, type);
    },
  };
}

async function numbersOf(tensor: CheckpointTensor): Promise<Float32Array> {
  return decodeFloats(await tensor.read(), floatTypeOf(tensor.dtype, tensor.name));
}

/** How many ranks are added in one go: each number of the weight is then loaded and stored that much less often. */
const TOGETHER = 8;

/** `weight[i, o] += λ · Σᵣ down[r, i] · up[o, r]`, along the rows of the weight so that memory is read in its order. */
function addProduct(
  weight: Float32Array,
  down: Float32Array,
  up: Float32Array,
  inputs: number,
  outputs: number,
  rank: number,
  scale: number,
): void {
  const ranks = Math.ceil(rank / TOGETHER) * TOGETHER;
  // Rank by rank, and with ranks of zeros up to a multiple.
  const upByRank = new Float32Array(ranks * outputs);
  for (let o = 0; o < outputs; o++)
    for (let r = 0; r < rank; r++) upByRank[r * outputs + o] = up[o * rank + r]! * scale;
  const factors = new Float32Array(ranks);
  for (let i = 0; i < inputs; i++) {
    for (let r = 0; r < rank; r++) factors[r] = down[r * inputs + i]!;
    const row = weight.subarray(i * outputs, (i + 1) * outputs);
    for (let r = 0; r < ranks; r += TOGETHER) addRanks(row, upByRank, factors, r, outputs);
  }
}

/** Adds eight ranks to one row of a weight, written out: a loop over them would be half of the time. */
function addRanks(
  row: Float32Array,
  up: Float32Array,
  factors: Float32Array,
  r: number,
  outputs: number,
): void {
  const [f0, f1, f2, f3] = [factors[r]!, factors[r + 1]!, factors[r + 2]!, factors[r + 3]!];
  const [f4, f5, f6, f7] = [factors[r + 4]!, factors[r + 5]!, factors[r + 6]!, factors[r + 7]!];
  let [u0, u1, u2, u3] = [r * outputs, (r + 1) * outputs, (r + 2) * outputs, (r + 3) * outputs];
  let [u4, u5, u6, u7] = [u3 + outputs, u3 + 2 * outputs, u3 + 3 * outputs, u3 + 4 * outputs];
  for (let o = 0; o < outputs; o++)
    row[o]! +=
      f0 * up[u0++]! +
      f1 * up[u1++]! +
      f2 * up[u2++]! +
      f3 * up[u3++]! +
      f4 * up[u4++]! +
      f5 * up[u5++]! +
      f6 * up[u6++]! +
      f7 * up[u7++]!;
}
