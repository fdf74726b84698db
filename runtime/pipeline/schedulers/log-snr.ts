import { add, f32, multiply, sqrt, square } from './float32.js';

/** α, σ and λ = log(α / σ) at one step of a variance preserving schedule, in float32: the letters of the papers. */
export interface LogSnr {
  readonly alpha: number;
  readonly sigma: number;
  readonly lambda: number;
}

/** α, σ and λ of the steps of DPM-Solver and UniPC, from sigmas beside a signal of 1. */
export class LogSnrs {
  readonly #levels: readonly LogSnr[];

  /** @param sigmas of each step, and what is left after the last one */
  constructor(sigmas: readonly number[]) {
    this.#levels = sigmas.map((each) => {
      const ratio = f32(each);
      const alpha = f32(1 / sqrt(f32(square(ratio) + 1)));
      const sigma = f32(ratio * alpha);
      return { alpha, sigma, lambda: f32(f32(Math.log(alpha)) - f32(Math.log(sigma))) };
    });
  }

  /** At a step, by its index. */
  at(step: number): LogSnr {
    return this.#levels[step]!;
  }

  /** α · original + σ · noise. */
  addNoise(original: Float32Array, noise: Float32Array, step: number): Float32Array {
    const { alpha, sigma } = this.at(step);
    return add(multiply(alpha, original), multiply(sigma, noise));
  }
}
