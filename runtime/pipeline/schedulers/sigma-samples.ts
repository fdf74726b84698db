import { add, divide, f32, multiply, sqrt, square, subtract } from './float32.js';

/** Samples whose noise has a standard deviation of σ beside a signal of 1, by step: those of Euler's schedulers. */
export class SigmaSamples {
  readonly initNoiseSigma: number;
  readonly #sigmas: Float32Array;

  /**
   * @param sigmas of each step, and what is left after the last one
   * @param spacing `timestep_spacing`: a leading schedule does not begin at pure noise
   */
  constructor(sigmas: Float32Array, spacing: string) {
    this.#sigmas = sigmas;
    const most = sigmas.reduce((a, b) => Math.max(a, b));
    this.initNoiseSigma = spacing === 'leading' ? sqrt(f32(square(most) + 1)) : most;
  }

  /** Scaled to a variance of 1, as the UNet was trained. */
  scale(sample: Float32Array, at: number): Float32Array {
    return divide(sample, sqrt(f32(square(this.#sigmas[at]!) + 1)));
  }

  addNoise(original: Float32Array, noise: Float32Array, at: number): Float32Array {
    return add(original, multiply(this.#sigmas[at]!, noise));
  }

  /** The finished sample, as what the UNet gave says it. */
  original(prediction: string, modelOutput: Float32Array, at: number, sample: Float32Array): Float32Array {
    const sigma = this.#sigmas[at]!;
    if (prediction === 'epsilon') return subtract(sample, multiply(sigma, modelOutput));
    if (prediction === 'sample') return modelOutput;
    const variance = f32(square(sigma) + 1);
    return add(multiply(f32(-sigma / sqrt(variance)), modelOutput), divide(sample, variance));
  }
}
