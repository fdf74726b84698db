import type { SchedulerConfig, Settings } from './config.js';
import { f32, sqrt, square } from './float32.js';
import { oneOf, refused } from './refuse.js';

/** Keys that say how much noise each timestep of the training had. */
export type NoiseKeys = 'num_train_timesteps' | 'beta_start' | 'beta_end' | 'beta_schedule';

/** What most classes of diffusers have for {@link NoiseKeys}. */
export const NOISE_DEFAULTS: Settings<NoiseKeys> = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear',
};

/**
 * The share of the signal that is left at each timestep, ᾱ_t = ∏ (1 − β_s) for s ≤ t (Ho et al. 2020, equation 4).
 * @param rescale whether nothing is to be left at the last one (Lin et al. 2023, algorithm 1)
 * @returns float32 numbers, one for each timestep of the training
 * @throws IpgraftError `OPTION_SCHEDULER`: a beta schedule that is not known, or betas that do not fit
 */
export function alphasCumprod(
  scheduler: string,
  settings: Settings<NoiseKeys>,
  trainedBetas: SchedulerConfig['trained_betas'],
  rescale = false,
): Float32Array {
  const betas = trainedBetas ? Float32Array.from(trainedBetas) : betasOf(scheduler, settings);
  if (betas.length !== settings.num_train_timesteps)
    throw refused(scheduler, 'trained_betas', betas.length, `${settings.num_train_timesteps} are needed.`);
  const wrong = betas.find((beta) => !(beta >= 0 && beta < 1));
  if (wrong !== undefined) throw refused(scheduler, 'beta', wrong, 'betas lie between 0 and 1.');
  const alphas = betas.map((beta) => 1 - beta);
  return cumulativeProduct(rescale ? withoutSignalAtTheEnd(cumulativeProduct(alphas)) : alphas);
}

function betasOf(scheduler: string, settings: Settings<NoiseKeys>): Float32Array {
  const { num_train_timesteps: count, beta_start: start, beta_end: end } = settings;
  switch (
    oneOf(scheduler, 'beta_schedule', settings.beta_schedule, [
      'linear',
      'scaled_linear',
      'squaredcos_cap_v2',
    ])
  ) {
    case 'linear':
      return linspace32(start, end, count);
    case 'scaled_linear':
      return linspace32(Math.sqrt(start), Math.sqrt(end), count).map(square);
    case 'squaredcos_cap_v2': {
      // Nichol and Dhariwal (2021), equation 17.
      const bar = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return Float32Array.from({ length: count }, (_, i) =>
        Math.min(1 - bar((i + 1) / count) / bar(i / count), 0.999),
      );
    }
  }
}

/** `torch.linspace(…, dtype=float32)`, which counts the second half from its end. */
export function linspace32(start: number, end: number, count: number): Float32Array {
  const [first, last] = [f32(start), f32(end)];
  if (count === 1) return Float32Array.of(first);
  const step = f32(f32(last - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    i < Math.floor(count / 2) ? first + step * i : last - step * (count - i - 1),
  );
}

/** `torch.cumprod` of float32 numbers, which keeps the product itself in double precision. */
function cumulativeProduct(factors: Float32Array): Float32Array {
  let product = 1;
  return factors.map((factor) => {
    product *= factor;
    return product;
  });
}

/** The alphas after the square roots of ᾱ are shifted so that the last one is zero, and scaled so that the first one stays. */
function withoutSignalAtTheEnd(cumprod: Float32Array): Float32Array {
  const roots = cumprod.map(sqrt);
  const [first, last] = [roots[0]!, roots.at(-1)!];
  const scale = f32(first / f32(first - last));
  const bar = roots.map((root) => square(f32(f32(root - last) * scale)));
  const betas = bar.map((value, t) => 1 - (t === 0 ? value : f32(value / bar[t - 1]!)));
  return betas.map((beta) => 1 - beta);
}
