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
      const merged = Float32Array.from(decodeFloats(await wholeSegment(base), type));
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
  const upByRank = new Float32Array(up.length);
  for (let o = 0; o < outputs; o++)
    for (let r = 0; r < rank; r++) upByRank[r * outputs + o] = up[o * rank + r]! * scale;
  const row = new Float64Array(outputs);
  for (let i = 0; i < inputs; i++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = down[r * inputs + i]!;
      const from = r * outputs;
      for (let o = 0; o < outputs; o++) row[o]! += factor * upByRank[from + o]!;
    }
    const to = i * outputs;
    for (let o = 0; o < outputs; o++) weight[to + o]! += row[o]!;
  }
}
