import { add, f32, multiply, sqrt } from './float32.js';
import { refused } from './refuse.js';

/** ᾱ by timestep, for the schedulers that step from one timestep of the training to another (DDIM, PNDM, LCM). */
export class SignalShares {
  readonly #shares: Float32Array;
  /** The share past the last step: all of it, or that of timestep 0. */
  readonly #final: number;

  /**
   * @param shares float32 numbers, one for each timestep of the training
   * @param toOne `set_alpha_to_one`
   * @param timesteps those that will be asked for
   * @throws IpgraftError `OPTION_SCHEDULER`: a timestep that the training did not have
   */
  constructor(scheduler: string, shares: Float32Array, toOne: boolean, timesteps: readonly number[]) {
    const wrong = timesteps.find((timestep) => timestep < 0 || timestep >= shares.length);
    if (wrong !== undefined)
      throw refused(
        scheduler,
        'timestep',
        wrong,
        `the training had those from 0 to ${shares.length - 1}; look at steps_offset.`,
      );
    this.#shares = shares;
    this.#final = toOne ? 1 : shares[0]!;
  }

  /** ᾱ of a timestep; one below zero is past the last step. */
  at(timestep: number): number {
    return timestep < 0 ? this.#final : this.#shares[timestep]!;
  }

  /** √ᾱ and √(1 − ᾱ) of a timestep, which signal and noise are multiplied by. */
  factors(timestep: number): { readonly alpha: number; readonly sigma: number } {
    const share = this.at(timestep);
    return { alpha: sqrt(share), sigma: sqrt(f32(1 - share)) };
  }

  /** √ᾱ · original + √(1 − ᾱ) · noise (Ho et al. 2020, equation 4). */
  addNoise(original: Float32Array, noise: Float32Array, timestep: number): Float32Array {
    const { alpha, sigma } = this.factors(timestep);
    return add(multiply(alpha, original), multiply(sigma, noise));
  }
}
