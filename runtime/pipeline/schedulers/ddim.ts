import { type SchedulerConfig, settingsOf } from './config.js';
import { add, clamp, f32, multiply, sqrt, square } from './float32.js';
import { alphasCumprod, NOISE_DEFAULTS } from './noise-schedule.js';
import { epsilonOf, originalOf, PREDICTIONS, type Prediction } from './predictions.js';
import { oneOf, refused } from './refuse.js';
import type { Solver, Stepped } from './scheduler.js';
import { SignalShares } from './signal-shares.js';
import { spacedTimesteps } from './timestep-spacing.js';

const DEFAULTS = {
  ...NOISE_DEFAULTS,
  clip_sample: true,
  clip_sample_range: 1,
  set_alpha_to_one: true,
  steps_offset: 0,
  prediction_type: 'epsilon',
  thresholding: false,
  timestep_spacing: 'leading',
  rescale_betas_zero_snr: false,
};

/** DDIM (Song et al. 2020), equations 12 and 16. */
export class Ddim implements Solver {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly addNoise: Solver['addNoise'];
  readonly #settings: typeof DEFAULTS;
  readonly #prediction: Prediction;
  readonly #shares: SignalShares;
  readonly #stride: number;
  readonly #eta: number;

  /**
   * @param eta η of the paper: 0 takes no noise, 1 as much as DDPM
   * @throws IpgraftError `OPTION_SCHEDULER`
   */
  constructor(config: SchedulerConfig, steps: number, eta: number) {
    const settings = settingsOf(config, DEFAULTS);
    if (settings.thresholding) throw refused('ddim', 'thresholding', true, 'it is not for latents.');
    this.#settings = settings;
    this.#prediction = oneOf('ddim', 'prediction_type', settings.prediction_type, PREDICTIONS);
    this.#eta = eta;
    const train = settings.num_train_timesteps;
    this.#stride = Math.floor(train / steps);
    this.timesteps = spacedTimesteps(
      'ddim',
      {
        kind: settings.timestep_spacing,
        last: train,
        train,
        offset: settings.steps_offset,
        oneMore: false,
        fractions: false,
      },
      steps,
    );
    const shares = alphasCumprod('ddim', settings, config.trained_betas, settings.rescale_betas_zero_snr);
    this.#shares = new SignalShares('ddim', shares, settings.set_alpha_to_one, this.timesteps);
    this.addNoise = (original, noise, at) => this.#shares.addNoise(original, noise, this.timesteps[at]!);
  }

  step(modelOutput: Float32Array, at: number, sample: Float32Array, noise: () => Float32Array): Stepped {
    const timestep = this.timesteps[at]!;
    const alpha = this.#shares.at(timestep);
    const alphaNext = this.#shares.at(timestep - this.#stride);
    const beta = f32(1 - alpha);

    const shares = this.#shares.factors(timestep);
    const epsilon = epsilonOf(this.#prediction, shares, modelOutput, sample);
    let original = originalOf(this.#prediction, shares, modelOutput, sample);
    if (this.#settings.clip_sample) original = clamp(original, this.#settings.clip_sample_range);

    const variance = f32(f32(f32(1 - alphaNext) / beta) * f32(1 - f32(alpha / alphaNext)));
    const deviation = f32(f32(this.#eta) * sqrt(variance));
    const direction = multiply(sqrt(f32(f32(1 - alphaNext) - square(deviation))), epsilon);
    const next = add(multiply(sqrt(alphaNext), original), direction);
    return { sample: this.#eta > 0 ? add(next, multiply(deviation, noise())) : next, original };
  }
}
