import { type SchedulerConfig, settingsOf } from './config.js';
import { combine, divide, f32, subtract } from './float32.js';
import { LogSnrs } from './log-snr.js';
import { alphasCumprod, NOISE_DEFAULTS } from './noise-schedule.js';
import { epsilonOf, originalOf, PREDICTIONS, type Prediction } from './predictions.js';
import { oneOf, refused } from './refuse.js';
import type { Solver, Stepped } from './scheduler.js';
import {
  limitsOf,
  logarithms,
  SPACING_DEFAULTS,
  sigmaSpacingOf,
  sigmasAt,
  timestepOf,
  trainingSigmas,
  whole,
} from './sigma-spacing.js';
import { solve } from './solve.js';
import { spacedTimesteps } from './timestep-spacing.js';

const DEFAULTS = {
  ...NOISE_DEFAULTS,
  ...SPACING_DEFAULTS,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  rescale_betas_zero_snr: false,
  thresholding: false,
  use_flow_sigmas: false,
  use_dynamic_shifting: false,
  final_sigmas_type: 'zero',
  solver_order: 2,
  solver_type: 'bh2',
  predict_x0: true,
  lower_order_final: true,
  disable_corrector: [] as number[],
};

/** The highest order: the weights of higher ones are differences of nearly equal numbers, of which float32 leaves little. */
const HIGHEST_ORDER = 3;

/** UniPC (Zhao et al. 2023, algorithms 7 and 8): each step is predicted, and corrected once the UNet has seen where it led. */
export class UniPc implements Solver {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly addNoise: Solver['addNoise'];
  readonly #settings: typeof DEFAULTS;
  readonly #prediction: Prediction;
  readonly #isBh1: boolean;
  readonly #levels: LogSnrs;
  /** The last model outputs as the method takes them, the latest first; as many as its order. */
  #outputs: Float32Array[] = [];
  /** What the last step began with, and the order that it took. */
  #last: { readonly sample: Float32Array; readonly order: number } | null = null;

  /** @throws IpgraftError `OPTION_SCHEDULER` */
  constructor(config: SchedulerConfig, steps: number) {
    const settings = settingsOf(config, DEFAULTS);
    this.#settings = settings;
    this.#prediction = oneOf('unipc', 'prediction_type', settings.prediction_type, PREDICTIONS);
    // DPM-Solver's types are bh2 here, so that one file does for both.
    const types = ['bh1', 'bh2', 'midpoint', 'heun', 'logrho'];
    this.#isBh1 = oneOf('unipc', 'solver_type', settings.solver_type, types) === 'bh1';
    const ending = oneOf('unipc', 'final_sigmas_type', settings.final_sigmas_type, ['zero', 'sigma_min']);
    checkSettings(config, settings, this.#isBh1);

    const rescaled = settings.rescale_betas_zero_snr;
    const shares = alphasCumprod('unipc', settings, config.trained_betas, rescaled);
    const training = trainingSigmas(shares, rescaled);
    const respace = sigmaSpacingOf('unipc', settings);
    let timesteps: number[];
    let sigmas: number[];
    let smallest = training[0]!;
    if (respace) {
      sigmas = respace(...limitsOf(config, training.at(-1)!, training[0]!), steps);
      smallest = sigmas.at(-1)!;
      const logSigmas = logarithms(training);
      const fractions = sigmas.map((sigma) => timestepOf(sigma, logSigmas));
      timesteps = whole(fractions, settings.use_karras_sigmas);
    } else {
      const train = settings.num_train_timesteps;
      const spacing = {
        kind: settings.timestep_spacing,
        last: train,
        train,
        offset: settings.steps_offset,
        oneMore: true,
        fractions: false,
      };
      timesteps = spacedTimesteps('unipc', spacing, steps);
      sigmas = sigmasAt(timesteps, training);
    }
    this.timesteps = timesteps;
    this.#levels = new LogSnrs([...sigmas, ending === 'zero' ? 0 : smallest]);
    this.addNoise = (original, noise, at) => this.#levels.addNoise(original, noise, at);
  }

  step(modelOutput: Float32Array, at: number, sample: Float32Array): Stepped {
    const { solver_order, lower_order_final, predict_x0, disable_corrector } = this.#settings;
    const level = this.#levels.at(at);
    const output = (predict_x0 ? originalOf : epsilonOf)(this.#prediction, level, modelOutput, sample);
    const corrects = this.#last !== null && !disable_corrector.includes(at - 1);
    const start = corrects ? this.#correct(output, at, this.#last!) : sample;

    const known = this.#outputs.length;
    this.#outputs = [output, ...this.#outputs].slice(0, solver_order);
    const left = lower_order_final ? this.timesteps.length - at : solver_order;
    const order = Math.min(solver_order, left, known + 1);
    this.#last = { sample: start, order };
    return {
      sample: this.#predict(start, at, order),
      original: predict_x0 ? output : originalOf('epsilon', level, output, sample),
    };
  }

  /** UniP: the sample of the next step. */
  #predict(sample: Float32Array, at: number, order: number): Float32Array {
    const { terms, differences, matrix, vector, weight } = this.#expansion(sample, at, at + 1, order);
    if (order === 1) return combine(...terms);
    const rhos =
      order === 2
        ? [0.5]
        : solve(
            matrix.slice(0, -1).map((row) => row.slice(0, -1)),
            vector.slice(0, -1),
          );
    const correction = combine(...rhos.map((rho, k): [number, Float32Array] => [rho, differences[k]!]));
    return combine(...terms, [-weight, correction]);
  }

  /** UniC: the sample of this step, from that of the last one and what the UNet gave at both. */
  #correct(output: Float32Array, at: number, last: { sample: Float32Array; order: number }): Float32Array {
    const { terms, differences, matrix, vector, weight } = this.#expansion(
      last.sample,
      at - 1,
      at,
      last.order,
    );
    const rhos = last.order === 1 ? [0.5] : solve(matrix, vector);
    const all = [...differences, subtract(output, this.#outputs[0]!)];
    const correction = combine(...rhos.map((rho, k): [number, Float32Array] => [rho, all[k]!]));
    return combine(...terms, [-weight, correction]);
  }

  /** What predictor and corrector have in common, from one step to the next: equations 5 to 9 of the paper. */
  #expansion(sample: Float32Array, from: number, to: number, order: number) {
    const [source, target] = [this.#levels.at(from), this.#levels.at(to)];
    const h = f32(target.lambda - source.lambda);
    const [latest, ...earlier] = this.#outputs as [Float32Array, ...Float32Array[]];
    const ratios: number[] = [];
    const differences: Float32Array[] = [];
    for (let i = 1; i < order; i++) {
      const ratio = f32(f32(this.#levels.at(from - i).lambda - source.lambda) / h);
      ratios.push(ratio);
      differences.push(divide(subtract(earlier[i - 1]!, latest), ratio));
    }
    ratios.push(1);

    const { predict_x0 } = this.#settings;
    const hh = predict_x0 ? -h : h;
    const grown = f32(Math.expm1(hh));
    const bh = this.#isBh1 ? hh : grown;
    const matrix: number[][] = [];
    const vector: number[] = [];
    let factorial = 1;
    let phi = f32(f32(grown / hh) - 1);
    for (let i = 1; i <= order; i++) {
      matrix.push(ratios.map((ratio) => f32(ratio ** (i - 1))));
      vector.push(f32(f32(phi * factorial) / bh));
      factorial *= i + 1;
      phi = f32(f32(phi / hh) - f32(1 / factorial));
    }
    const scale = predict_x0 ? target.alpha : target.sigma;
    const decay = predict_x0 ? f32(target.sigma / source.sigma) : f32(target.alpha / source.alpha);
    const terms: [number, Float32Array][] = [
      [decay, sample],
      [-f32(scale * grown), latest],
    ];
    return { terms, differences, matrix, vector, weight: f32(scale * bh) };
  }
}

/** Refuses what diffusers' UniPC is asked for by other models, and what gives no numbers there either. */
function checkSettings(config: SchedulerConfig, settings: typeof DEFAULTS, isBh1: boolean): void {
  for (const key of ['thresholding', 'use_flow_sigmas', 'use_dynamic_shifting'] as const)
    if (settings[key]) throw refused('unipc', key, true, 'it is not for the latents of Stable Diffusion.');
  if (config.solver_p !== undefined)
    throw refused('unipc', 'solver_p', config.solver_p, 'no other predictor is known.');
  const { solver_order: order, final_sigmas_type: ending, lower_order_final: lowers } = settings;
  if (order < 1 || order > HIGHEST_ORDER)
    throw refused('unipc', 'solver_order', order, `it must be from 1 to ${HIGHEST_ORDER}.`);
  // The last step is infinitely long then, which only the first order of bh2 on finished samples can take.
  if (ending === 'zero' && (isBh1 || !settings.predict_x0 || (!lowers && order > 1)))
    throw refused(
      'unipc',
      'final_sigmas_type',
      ending,
      'it must be sigma_min with bh1, without predict_x0 or without lower_order_final.',
    );
}
