import { type SchedulerConfig, settingsOf } from './config.js';
import { add, divide, f32, multiply, subtract } from './float32.js';
import { alphasCumprod, linspace32, NOISE_DEFAULTS } from './noise-schedule.js';
import { oneOf } from './refuse.js';
import type { Solver, Stepped } from './scheduler.js';
import { SigmaSamples } from './sigma-samples.js';
import {
  limitsOf,
  logarithms,
  SPACING_DEFAULTS,
  sigmaSpacingOf,
  sigmasAt,
  timestepOf,
  trainingSigmas,
} from './sigma-spacing.js';
import { spacedTimesteps } from './timestep-spacing.js';

const DEFAULTS = {
  ...NOISE_DEFAULTS,
  ...SPACING_DEFAULTS,
  prediction_type: 'epsilon',
  interpolation_type: 'linear',
  timestep_spacing: 'linspace',
  timestep_type: 'discrete',
  steps_offset: 0,
  rescale_betas_zero_snr: false,
  final_sigmas_type: 'zero',
};

/** Euler's method (Karras et al. 2022, algorithm 2 without its churn). */
export class Euler implements Solver {
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
    const kinds = ['epsilon', 'v_prediction', 'sample'];
    this.#prediction = oneOf('euler', 'prediction_type', settings.prediction_type, kinds);
    const timestepType = oneOf('euler', 'timestep_type', settings.timestep_type, ['discrete', 'continuous']);
    const interpolation = oneOf('euler', 'interpolation_type', settings.interpolation_type, [
      'linear',
      'log_linear',
    ]);
    const ending = oneOf('euler', 'final_sigmas_type', settings.final_sigmas_type, ['zero', 'sigma_min']);
    const rescaled = settings.rescale_betas_zero_snr;
    const training = trainingSigmas(
      alphasCumprod('euler', settings, config.trained_betas, rescaled),
      rescaled,
    );
    const logSigmas = logarithms(training);
    const respace = sigmaSpacingOf('euler', settings);

    let timesteps = fractionalTimesteps('euler', settings, steps);
    let sigmas =
      interpolation === 'linear'
        ? sigmasAt(timesteps, training)
        : [...linspace32(logSigmas.at(-1)!, logSigmas[0]!, steps + 1)].map((log) => f32(Math.exp(log)));
    if (respace) {
      sigmas = respace(...limitsOf(config, sigmas[0]!, sigmas.at(-1)!), steps);
      timesteps = sigmas.map((sigma) => f32(timestepOf(sigma, logSigmas)));
    }
    this.#sigmas = Float32Array.of(...sigmas, ending === 'zero' ? 0 : training[0]!);
    // Of Stable Video Diffusion: the UNet is given c_noise of Karras et al., table 1.
    if (timestepType === 'continuous' && this.#prediction === 'v_prediction')
      timesteps = [...this.#sigmas.subarray(0, -1)].map((sigma) => f32(0.25 * f32(Math.log(sigma))));
    this.timesteps = timesteps;
    this.#samples = new SigmaSamples(this.#sigmas, settings.timestep_spacing);
    this.initNoiseSigma = this.#samples.initNoiseSigma;
    this.scaleModelInput = (sample, at) => this.#samples.scale(sample, at);
    this.addNoise = (original, noise, at) => this.#samples.addNoise(original, noise, at);
  }

  step(modelOutput: Float32Array, at: number, sample: Float32Array): Stepped {
    const sigma = this.#sigmas[at]!;
    const original = this.#samples.original(this.#prediction, modelOutput, at, sample);
    const derivative = divide(subtract(sample, original), sigma);
    const length = f32(this.#sigmas[at + 1]! - sigma);
    return { sample: add(sample, multiply(length, derivative)), original };
  }
}

/** The timesteps of Euler's schedulers, which keep fractions. */
export function fractionalTimesteps(
  scheduler: string,
  settings: { timestep_spacing: string; num_train_timesteps: number; steps_offset: number },
  steps: number,
): number[] {
  const train = settings.num_train_timesteps;
  return spacedTimesteps(
    scheduler,
    {
      kind: settings.timestep_spacing,
      last: train,
      train,
      offset: settings.steps_offset,
      oneMore: false,
      fractions: true,
    },
    steps,
  );
}
