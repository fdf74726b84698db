import { roundHalfEven } from '../round-half-even.js';
import type { SchedulerConfig, Settings } from './config.js';
import { f32, sqrt } from './float32.js';
import { refused } from './refuse.js';
import { linspace } from './timestep-spacing.js';

/** Keys that space the noise levels of a picture in another way than by timesteps. */
export type SpacingKeys = 'use_karras_sigmas' | 'use_exponential_sigmas' | 'use_beta_sigmas';

/** What all classes of diffusers have for {@link SpacingKeys}. */
export const SPACING_DEFAULTS: Settings<SpacingKeys> = {
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
};

/** σ where nothing of the signal is left: √(2²⁴ − 1) as torch rounds it, since diffusers keeps a share of 2⁻²⁴ there. */
const LARGEST_SIGMA = 4096;

/**
 * σ = √((1 − ᾱ) / ᾱ) of each timestep of the training, in float32.
 * @param shares ᾱ
 * @param rescaled whether nothing of the signal is left at the last one
 */
export function trainingSigmas(shares: Float32Array, rescaled: boolean): Float32Array {
  return shares.map((share, t) =>
    rescaled && t === shares.length - 1 ? LARGEST_SIGMA : sqrt(f32(f32(1 - share) / share)),
  );
}

/** σ at timesteps between those of the training: `numpy.interp`. */
export function sigmasAt(timesteps: readonly number[], sigmas: Float32Array): number[] {
  return timesteps.map((timestep) => {
    const below = Math.floor(timestep);
    if (below < 0) return sigmas[0]!;
    if (below >= sigmas.length - 1) return sigmas.at(-1)!;
    return (sigmas[below + 1]! - sigmas[below]!) * (timestep - below) + sigmas[below]!;
  });
}

/** The logarithms of sigmas, in float32. */
export function logarithms(sigmas: Float32Array): Float32Array {
  return sigmas.map((sigma) => Math.log(sigma));
}

/** The timestep, with its fraction, whose σ a sigma is: between the logarithms of its neighbours in the training. */
export function timestepOf(sigma: number, logSigmas: Float32Array): number {
  const log = Math.log(Math.max(sigma, 1e-10));
  const found = logSigmas.findLastIndex((each) => log - each >= 0);
  const low = Math.min(Math.max(found, 0), logSigmas.length - 2);
  const weight = (logSigmas[low]! - log) / f32(logSigmas[low]! - logSigmas[low + 1]!);
  const within = Math.min(1, Math.max(0, weight));
  return (1 - within) * low + within * (low + 1);
}

/** How sigmas are spaced: a function from the largest and the smallest one, and their count. */
export type SigmaSpacing = (most: number, least: number, count: number) => number[];

/**
 * The spacing that a configuration asks for, null where that of the timesteps decides.
 * @throws IpgraftError `OPTION_SCHEDULER`: more than one
 */
export function sigmaSpacingOf(scheduler: string, settings: Settings<SpacingKeys>): SigmaSpacing | null {
  const spacings = { use_karras_sigmas: karras, use_exponential_sigmas: exponential, use_beta_sigmas: beta };
  const asked = (Object.keys(spacings) as SpacingKeys[]).filter((key) => settings[key]);
  if (asked.length > 1) throw refused(scheduler, asked[1]!, true, `${asked[0]} is true too.`);
  return asked[0] === undefined ? null : spacings[asked[0]];
}

/** The largest and the smallest sigma: `sigma_max` and `sigma_min` of the configuration, which count whatever its class, or those given. */
export function limitsOf(
  config: SchedulerConfig,
  most: number,
  least: number,
): [most: number, least: number] {
  return [config.sigma_max ?? most, config.sigma_min ?? least];
}

/** Karras et al. (2022), equation 5, ρ = 7. */
function karras(most: number, least: number, count: number): number[] {
  const rho = 7;
  const [first, last] = [most ** (1 / rho), least ** (1 / rho)];
  return linspace(0, 1, count).map((ramp) => (first + ramp * (last - first)) ** rho);
}

/** Evenly in their logarithms. */
function exponential(most: number, least: number, count: number): number[] {
  return linspace(Math.log(most), Math.log(least), count).map(Math.exp);
}

/** Lee et al. (2024): the quantiles of a beta distribution with α = β = 0.6. */
function beta(most: number, least: number, count: number): number[] {
  return linspace(0, 1, count).map((ramp) => least + quantile(1 - ramp) * (most - least));
}

const SHAPE = 0.6;
/** The beta function at (0.6, 0.6): Γ(0.6)² / Γ(1.2). */
const BETA_FUNCTION = 2.4153442080024714;

/** The quantile of the beta distribution with both parameters 0.6, by halving. */
function quantile(probability: number): number {
  // The distribution is symmetric, and its series converges fast up to the middle.
  if (probability > 0.5) return 1 - quantile(1 - probability);
  let [low, high] = [0, 0.5];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (cumulative(middle) < probability) low = middle;
    else high = middle;
  }
  return high;
}

/** The regularized incomplete beta function by its power series (DLMF 8.17.7), for x up to a half. */
function cumulative(x: number): number {
  let [term, sum] = [1, 0];
  for (let n = 0; n < 60; n++) {
    sum += term / (SHAPE + n);
    term *= ((n + 1 - SHAPE) * x) / (n + 1);
  }
  return (x ** SHAPE * sum) / BETA_FUNCTION;
}

/** Lu et al. (2022): evenly in λ, that is in the logarithms of the sigmas of the training. */
export function luSigmas(logSigmas: Float32Array, count: number): number[] {
  const [first, last] = [logSigmas.at(-1)!, logSigmas[0]!];
  return linspace(0, 1, count).map((ramp) => Math.exp(first + ramp * (last - first)));
}

/** Timesteps as whole numbers, which torch cuts off where they were not rounded before. */
export function whole(timesteps: readonly number[], rounded: boolean): number[] {
  return timesteps.map(rounded ? roundHalfEven : Math.trunc);
}
