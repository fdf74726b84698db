import { type SchedulerConfig, settingsOf } from './config.js';
import { add, clamp, f32, multiply, sqrt, square } from './float32.js';
import { alphasCumprod } from './noise-schedule.js';
import { originalOf, PREDICTIONS, type Prediction } from './predictions.js';
import { oneOf, refused } from './refuse.js';
import type { Solver, Stepped } from './scheduler.js';
import { SignalShares } from './signal-shares.js';

const DEFAULTS = {
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  original_inference_steps: 50,
  clip_sample: false,
  clip_sample_range: 1,
  set_alpha_to_one: true,
  prediction_type: 'epsilon',
  thresholding: false,
  timestep_scaling: 10,
  rescale_betas_zero_snr: false,
};

/** σ_data of the boundary conditions. */
const SIGMA_DATA = 0.5;

/** Multistep sampling of latent consistency models (Luo et al. 2023, algorithm 3). */
export class Lcm implements Solver {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly addNoise: Solver['addNoise'];
  readonly #settings: typeof DEFAULTS;
  readonly #prediction: Prediction;
  readonly #shares: SignalShares;

  /** @throws IpgraftError `OPTION_SCHEDULER` */
  constructor(config: SchedulerConfig, steps: number) {
    const settings = settingsOf(config, DEFAULTS);
    if (settings.thresholding) throw refused('lcm', 'thresholding', true, 'it is not for latents.');
    this.#settings = settings;
    this.#prediction = oneOf('lcm', 'prediction_type', settings.prediction_type, PREDICTIONS);
    const { num_train_timesteps: train, original_inference_steps: original } = settings;
    if (original > train)
      throw refused('lcm', 'original_inference_steps', original, `the training had ${train} timesteps.`);
    if (steps > original) throw refused('lcm', 'steps', steps, `original_inference_steps is ${original}.`);
    const stride = Math.floor(train / original);
    // Some of the timesteps that the model was distilled on, from the noisiest one on.
    this.timesteps = Array.from(
      { length: steps },
      (_, i) => (original - Math.floor(i * (original / steps))) * stride - 1,
    );
    const shares = alphasCumprod('lcm', settings, config.trained_betas, settings.rescale_betas_zero_snr);
    this.#shares = new SignalShares('lcm', shares, settings.set_alpha_to_one, this.timesteps);
    this.addNoise = (sample, noise, at) => this.#shares.addNoise(sample, noise, this.timesteps[at]!);
  }

  step(modelOutput: Float32Array, at: number, sample: Float32Array, noise: () => Float32Array): Stepped {
    const timestep = this.timesteps[at]!;
    let predicted = originalOf(this.#prediction, this.#shares.factors(timestep), modelOutput, sample);
    if (this.#settings.clip_sample) predicted = clamp(predicted, this.#settings.clip_sample_range);

    // The boundary conditions: at timestep 0 the sample itself is the answer.
    const scaled = f32(timestep * f32(this.#settings.timestep_scaling));
    const variance = f32(square(scaled) + SIGMA_DATA ** 2);
    const skip = f32(SIGMA_DATA ** 2 / variance);
    const out = f32(scaled / sqrt(variance));
    const original = add(multiply(out, predicted), multiply(skip, sample));

    if (at === this.timesteps.length - 1) return { sample: original, original };
    return { sample: this.addNoise(original, noise(), at + 1), original };
  }
}
