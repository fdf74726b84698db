import { type SchedulerConfig, settingsOf } from './config.js';
import { combine, f32, multiply, sqrt, subtract } from './float32.js';
import { LogSnrs } from './log-snr.js';
import { alphasCumprod, NOISE_DEFAULTS } from './noise-schedule.js';
import { epsilonOf, originalOf, PREDICTIONS, type Prediction } from './predictions.js';
import { oneOf, refused } from './refuse.js';
import type { Solver, Stepped } from './scheduler.js';
import {
  limitsOf,
  logarithms,
  luSigmas,
  SPACING_DEFAULTS,
  sigmaSpacingOf,
  sigmasAt,
  timestepOf,
  trainingSigmas,
  whole,
} from './sigma-spacing.js';
import { spacedTimesteps } from './timestep-spacing.js';

const DEFAULTS = {
  ...NOISE_DEFAULTS,
  ...SPACING_DEFAULTS,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  rescale_betas_zero_snr: false,
  thresholding: false,
  use_lu_lambdas: false,
  use_flow_sigmas: false,
  use_dynamic_shifting: false,
  final_sigmas_type: 'zero',
  lambda_min_clipped: -Infinity,
  algorithm_type: 'dpmsolver++',
  solver_order: 2,
  solver_type: 'midpoint',
  lower_order_final: true,
  euler_at_final: false,
};

type Algorithm = 'dpmsolver' | 'dpmsolver++' | 'sde-dpmsolver' | 'sde-dpmsolver++';

/** Schedules with fewer steps than this end with lower orders, where `lower_order_final` is true. */
const FEW_STEPS = 15;

/** Multistep DPM-Solver and DPM-Solver++ (Lu et al. 2022a, 2022b), and their stochastic forms. */
export class DpmSolver implements Solver {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly addNoise: Solver['addNoise'];
  readonly #settings: typeof DEFAULTS;
  readonly #prediction: Prediction;
  readonly #algorithm: Algorithm;
  readonly #isHeun: boolean;
  readonly #levels: LogSnrs;
  /** The last model outputs as the algorithm takes them, the latest first; as many as its order. */
  #outputs: Float32Array[] = [];

  /** @throws IpgraftError `OPTION_SCHEDULER` */
  constructor(name: string, config: SchedulerConfig, steps: number) {
    const settings = settingsOf(config, DEFAULTS);
    this.#settings = settings;
    this.#algorithm = algorithmOf(name, config, settings);
    // UniPC's types are midpoint here, so that one file does for both.
    const types = ['midpoint', 'heun', 'logrho', 'bh1', 'bh2'];
    this.#isHeun = oneOf(name, 'solver_type', settings.solver_type, types) === 'heun';
    this.#prediction = oneOf(name, 'prediction_type', settings.prediction_type, PREDICTIONS);

    const rescaled = settings.rescale_betas_zero_snr;
    const shares = alphasCumprod(name, settings, config.trained_betas, rescaled);
    const training = trainingSigmas(shares, rescaled);
    const logSigmas = logarithms(training);
    const last = lastTimestep(new LogSnrs([...training]), training.length, settings.lambda_min_clipped);
    const respace = sigmaSpacingOf(name, settings);
    let timesteps: number[];
    let sigmas: number[];
    if (respace || settings.use_lu_lambdas) {
      sigmas =
        respace?.(...limitsOf(config, training.at(-1)!, training[0]!), steps) ?? luSigmas(logSigmas, steps);
      const rounds = settings.use_karras_sigmas || (!respace && settings.use_lu_lambdas);
      timesteps = whole(
        sigmas.map((sigma) => timestepOf(sigma, logSigmas)),
        rounds && settings.beta_schedule !== 'squaredcos_cap_v2',
      );
    } else {
      const spacing = {
        kind: settings.timestep_spacing,
        last,
        train: settings.num_train_timesteps,
        offset: settings.steps_offset,
        oneMore: true,
        fractions: false,
      };
      timesteps = spacedTimesteps(name, spacing, steps);
      sigmas = sigmasAt(timesteps, training);
    }
    this.timesteps = timesteps;
    this.#levels = new LogSnrs([...sigmas, settings.final_sigmas_type === 'zero' ? 0 : training[0]!]);
    this.addNoise = (original, noise, at) => this.#levels.addNoise(original, noise, at);
  }

  step(modelOutput: Float32Array, at: number, sample: Float32Array, noise: () => Float32Array): Stepped {
    const {
      solver_order: order,
      lower_order_final: lowers,
      euler_at_final,
      final_sigmas_type,
    } = this.#settings;
    const count = this.timesteps.length;
    const level = this.#levels.at(at);
    const takesOriginal = this.#algorithm.endsWith('++');
    const output = (takesOriginal ? originalOf : epsilonOf)(this.#prediction, level, modelOutput, sample);
    const known = this.#outputs.length;
    this.#outputs = [output, ...this.#outputs].slice(0, order);
    const drawn = this.#algorithm.startsWith('sde') ? noise() : null;

    const isFewSteps = lowers && count < FEW_STEPS;
    const endsByEuler = at === count - 1 && (euler_at_final || isFewSteps || final_sigmas_type === 'zero');
    const endsBySecond = at === count - 2 && isFewSteps;
    const taken = Math.min(order, known + 1, endsByEuler ? 1 : endsBySecond ? 2 : order);
    return {
      sample: combine(...this.#terms(at, taken, sample), ...this.#noiseTerm(at, drawn)),
      original: takesOriginal ? output : originalOf('epsilon', level, output, sample),
    };
  }

  /** The terms of one step of an order, without noise: factors, and what they multiply. */
  #terms(at: number, order: number, sample: Float32Array): [number, Float32Array][] {
    const [from, to] = [this.#levels.at(at), this.#levels.at(at + 1)];
    const h = f32(to.lambda - from.lambda);
    const phi = this.#integrals(h);
    const scale = this.#algorithm.endsWith('++') ? to.alpha : to.sigma;
    const decay =
      this.#algorithm === 'sde-dpmsolver++'
        ? f32(f32(to.sigma / from.sigma) * exp(-h))
        : this.#algorithm === 'dpmsolver++'
          ? f32(to.sigma / from.sigma)
          : f32(to.alpha / from.alpha);
    const [m0, m1, m2] = this.#outputs as [Float32Array, Float32Array, Float32Array];
    const terms: [number, Float32Array][] = [
      [decay, sample],
      [f32(scale * phi.first) * phi.twice, m0],
    ];
    if (order === 1) return terms;

    const h0 = f32(from.lambda - this.#levels.at(at - 1).lambda);
    const r0 = f32(h0 / h);
    const d0 = multiply(f32(1 / r0), subtract(m0, m1));
    if (order === 2) {
      const factor = this.#isHeun
        ? f32(scale * phi.second) * phi.twice
        : 0.5 * f32(scale * phi.first) * phi.twice;
      return [...terms, [factor, d0]];
    }
    const h1 = f32(this.#levels.at(at - 1).lambda - this.#levels.at(at - 2).lambda);
    const r1 = f32(h1 / h);
    const between = f32(r0 + r1);
    const difference = subtract(d0, multiply(f32(1 / r1), subtract(m1, m2)));
    const d1 = combine([1, d0], [f32(r0 / between), difference]);
    const d2 = multiply(f32(1 / between), difference);
    return [...terms, [f32(scale * phi.second), d1], [f32(scale * phi.third), d2]];
  }

  /**
   * The integrals of the exponential that weigh the model outputs and their differences, with the signs that they have in a step,
   * rounded as diffusers rounds them; `twice` is the factor that `sde-dpmsolver` has before all of them.
   */
  #integrals(h: number): { first: number; second: number; third: number; twice: number } {
    switch (this.#algorithm) {
      case 'dpmsolver++': {
        const grown = f32(exp(-h) - 1);
        return {
          first: -grown,
          second: f32(f32(grown / h) + 1),
          third: -f32(f32(f32(grown + h) / f32(h * h)) - 0.5),
          twice: 1,
        };
      }
      case 'sde-dpmsolver++': {
        const lost = f32(1 - exp(-2 * h));
        return {
          first: lost,
          second: f32(f32(lost / (-2 * h)) + 1),
          third: f32(f32(f32(lost - 2 * h) / f32(4 * h * h)) - 0.5),
          twice: 1,
        };
      }
      default: {
        const grown = f32(exp(h) - 1);
        return {
          first: -grown,
          second: -f32(f32(grown / h) - 1),
          third: -f32(f32(f32(grown - h) / f32(h * h)) - 0.5),
          twice: this.#algorithm === 'dpmsolver' ? 1 : 2,
        };
      }
    }
  }

  #noiseTerm(at: number, drawn: Float32Array | null): [number, Float32Array][] {
    if (drawn === null) return [];
    const { sigma, lambda } = this.#levels.at(at + 1);
    const h = f32(lambda - this.#levels.at(at).lambda);
    const variance = this.#algorithm.endsWith('++') ? f32(1 - exp(-2 * h)) : f32(exp(2 * h) - 1);
    return [[f32(sigma * sqrt(variance)), drawn]];
  }
}

/** The exponential of a float32 number, as one. */
function exp(x: number): number {
  return f32(Math.exp(x));
}

/** The algorithm that a configuration asks for, if it goes with the rest of it. */
function algorithmOf(name: string, config: SchedulerConfig, settings: typeof DEFAULTS): Algorithm {
  for (const key of ['thresholding', 'use_flow_sigmas', 'use_dynamic_shifting'] as const)
    if (settings[key]) throw refused(name, key, true, 'it is not for the latents of Stable Diffusion.');
  if (config.variance_type !== undefined)
    throw refused(name, 'variance_type', config.variance_type, 'models that give a variance are not run.');
  const known = ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver', 'sde-dpmsolver++', 'deis'] as const;
  const asked = oneOf(name, 'algorithm_type', settings.algorithm_type, known);
  const ending = oneOf(name, 'final_sigmas_type', settings.final_sigmas_type, ['zero', 'sigma_min']);
  if (!asked.endsWith('++') && ending === 'zero')
    throw refused(name, 'final_sigmas_type', ending, `with algorithm_type ${asked} it must be sigma_min.`);
  const { solver_order: order } = settings;
  const highest = asked === 'sde-dpmsolver' ? 2 : 3;
  if (order < 1 || order > highest)
    throw refused(
      name,
      'solver_order',
      order,
      `with algorithm_type ${asked} it must be from 1 to ${highest}.`,
    );
  // DEIS' files are read so, as diffusers does.
  return asked === 'deis' ? 'dpmsolver++' : asked;
}

/** How many timesteps of the training are used: all but the noisiest, whose λ lies below `lambda_min_clipped`. */
function lastTimestep(levels: LogSnrs, count: number, clipped: number): number {
  let last = count;
  while (last > 1 && levels.at(last - 1).lambda < clipped) last--;
  return last;
}
