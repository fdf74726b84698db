import { type SchedulerConfig, settingsOf } from './config.js';
import { fractionalTimesteps } from './euler.js';
import { add, divide, f32, multiply, sqrt, square, subtract } from './float32.js';
import { alphasCumprod, NOISE_DEFAULTS } from './noise-schedule.js';
import { oneOf } from './refuse.js';
import type { Solver, Stepped } from './scheduler.js';
import { SigmaSamples } from './sigma-samples.js';
import { sigmasAt, trainingSigmas } from './sigma-spacing.js';

const DEFAULTS = {
  ...NOISE_DEFAULTS,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  rescale_betas_zero_snr: false,
};

/** Euler's method with noise put back at each step: ancestral sampling, as in k-diffusion (Crowson 2022). */
export class EulerAncestral implements Solver {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma: number;
  readonly scaleModelInput: NonNullable<Solver['scaleModelInput']>;
  readonly addNoise: Solver['addNoise'];
  readonly #prediction: string;
  readonly #sigmas: Float32Array;
  readonly #samples: SigmaSamples;

  /** @throws IpgraftError `OPTION_SCHEDULER` */
  constructor(config: SchedulerConfig, steps: number) {
    const settings = settingsOf(config, DEFAULTS);
    const kinds = ['epsilon', 'v_prediction'];
    this.#prediction = oneOf('euler-a', 'prediction_type', settings.prediction_type, kinds);
    this.timesteps = fractionalTimesteps('euler-a', settings, steps);
    const rescaled = settings.rescale_betas_zero_snr;
    const shares = alphasCumprod('euler-a', settings, config.trained_betas, rescaled);
    this.#sigmas = Float32Array.of(...sigmasAt(this.timesteps, trainingSigmas(shares, rescaled)), 0);
    this.#samples = new SigmaSamples(this.#sigmas, settings.timestep_spacing);
    this.initNoiseSigma = this.#samples.initNoiseSigma;
    this.scaleModelInput = (sample, at) => this.#samples.scale(sample, at);
    this.addNoise = (original, noise, at) => this.#samples.addNoise(original, noise, at);
  }

  step(modelOutput: Float32Array, at: number, sample: Float32Array, noise: () => Float32Array): Stepped {
    const [from, to] = [this.#sigmas[at]!, this.#sigmas[at + 1]!];
    const original = this.#samples.original(this.#prediction, modelOutput, at, sample);
    const variance = f32(f32(square(to) * f32(square(from) - square(to))) / square(from));
    const up = sqrt(variance);
    // From very large sigmas nearly all is noise, and rounding would leave less than nothing: diffusers then gives NaN.
    const down = sqrt(Math.max(0, f32(square(to) - square(up))));
    const derivative = divide(subtract(sample, original), from);
    const next = add(sample, multiply(f32(down - from), derivative));
    // Drawn at the last step too, where nothing of it is taken.
    return { sample: add(next, multiply(up, noise())), original };
  }
}
