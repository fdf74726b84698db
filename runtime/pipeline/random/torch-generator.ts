import { MersenneTwister } from './mersenne-twister.js';

const f32 = Math.fround;
/** From this many numbers on torch fills whole blocks. */
const BLOCK = 16;
const TWO_PI = f32(2 * Math.PI);

/**
 * The random numbers of `torch.Generator('cpu').manual_seed(seed)`. Calls continue one stream, as they do in torch, so that the same
 * seed and the same calls in the same order give the same picture as diffusers with a generator on the CPU. Single numbers
 * may differ from torch's in the last bits, by less than 1e-6: its vectorized logarithm and cosine are not the exact ones.
 */
export class TorchGenerator {
  readonly #bits: MersenneTwister;
  /** Normal numbers come in pairs; the second one of a pair drawn singly waits here, as it does in torch. */
  #waiting: number | null = null;

  /** @param seed an integer; like torch's, only its low 32 bits count */
  constructor(seed: number | bigint) {
    this.#bits = new MersenneTwister(Number(BigInt.asUintN(32, BigInt(seed))));
  }

  /**
   * What `torch.randn(count, generator=…)` gives in float32, for any shape with that many elements. In float16 torch gives the same
   * numbers, rounded, where `count` is below 16 or a multiple of it, as that of latents is; in float64 others.
   */
  normal(count: number): Float32Array {
    const values = new Float32Array(count);
    if (count < BLOCK) {
      for (let i = 0; i < count; i++) values[i] = this.#singly();
      return values;
    }
    this.#uniform(values);
    for (let start = 0; start + BLOCK <= count; start += BLOCK)
      toNormal(values.subarray(start, start + BLOCK));
    if (count % BLOCK !== 0) {
      const last = values.subarray(count - BLOCK);
      this.#uniform(last);
      toNormal(last);
    }
    return values;
  }

  /** Uniform numbers in [0, 1), each of 24 bits. */
  #uniform(values: Float32Array): void {
    for (let i = 0; i < values.length; i++) values[i] = (this.#bits.next() & 0xffffff) / 2 ** 24;
  }

  /** A uniform number in [0, 1) of 53 bits. */
  #uniform53(): number {
    const high = this.#bits.next() & 0x1fffff;
    return (high * 2 ** 32 + this.#bits.next()) / 2 ** 53;
  }

  /** One normal number, by Box and Muller (1958) in double precision. */
  #singly(): number {
    if (this.#waiting !== null) {
      const value = this.#waiting;
      this.#waiting = null;
      return value;
    }
    const theta = 2 * Math.PI * this.#uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#uniform53()));
    this.#waiting = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }
}

/** Makes normal numbers of 16 uniform ones in place: the first eight give the radii, the others the angles. */
function toNormal(block: Float32Array): void {
  for (let i = 0; i < BLOCK / 2; i++) {
    const radius = f32(Math.sqrt(f32(-2 * f32(Math.log(f32(1 - block[i]!))))));
    const theta = f32(TWO_PI * block[i + BLOCK / 2]!);
    block[i] = radius * f32(Math.cos(theta));
    block[i + BLOCK / 2] = radius * f32(Math.sin(theta));
  }
}
