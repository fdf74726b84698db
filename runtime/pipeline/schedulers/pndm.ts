import { type SchedulerConfig, settingsOf } from './config.js';
import { add, combine, divide, f32, multiply, sqrt, subtract } from './float32.js';
import { alphasCumprod, NOISE_DEFAULTS } from './noise-schedule.js';
import { epsilonOf, originalOf, type Prediction } from './predictions.js';
import { oneOf, refused } from './refuse.js';
import type { Solver, Stepped } from './scheduler.js';
import { SignalShares } from './signal-shares.js';
import { spacedTimesteps } from './timestep-spacing.js';

const DEFAULTS = {
  ...NOISE_DEFAULTS,
  skip_prk_steps: false,
  set_alpha_to_one: false,
  prediction_type: 'epsilon',
  timestep_spacing: 'leading',
  steps_offset: 0,
};

/** Of the method: so many steps by Runge and Kutta come first, where they are not skipped. */
const ORDER = 4;

/** Pseudo numerical methods (Liu et al. 2022): linear multistep, after Runge-Kutta steps or a second look at the first step. */
export class Pndm implements Solver {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly addNoise: Solver['addNoise'];
  readonly #prediction: Prediction;
  readonly #shares: SignalShares;
  readonly #stride: number;
  /** How many entries of the timesteps are parts of Runge-Kutta steps, four each. */
  readonly #prkCount: number;
  #counter = 0;
  /** The last model outputs, four at most. */
  #outputs: Float32Array[] = [];
  /** The sample that a step of several parts began with. */
  #begun: Float32Array | null = null;
  /** What the parts of a Runge-Kutta step add up to. */
  #sum: Float32Array | null = null;

  /** @throws IpgraftError `OPTION_SCHEDULER` */
  constructor(config: SchedulerConfig, steps: number) {
    const settings = settingsOf(config, DEFAULTS);
    this.#prediction = oneOf('pndm', 'prediction_type', settings.prediction_type, [
      'epsilon',
      'v_prediction',
    ]);
    const train = settings.num_train_timesteps;
    this.#stride = Math.floor(train / steps);
    const spacing = {
      kind: settings.timestep_spacing,
      last: train,
      train,
      offset: settings.steps_offset,
      oneMore: false,
      fractions: false,
    };
    const spaced = spacedTimesteps('pndm', spacing, steps);
    if (settings.skip_prk_steps) {
      this.#prkCount = 0;
      // The second one comes twice.
      this.timesteps = [...spaced.slice(0, 2), ...spaced.slice(1)];
    } else {
      if (steps < ORDER)
        throw refused('pndm', 'steps', steps, `skip_prk_steps is false, and then ${ORDER} are the fewest.`);
      const prk = rungeKuttaTimesteps(spaced, Math.floor(this.#stride / 2));
      this.#prkCount = prk.length;
      this.timesteps = [...prk, ...spaced.slice(ORDER - 1)];
    }
    const shares = alphasCumprod('pndm', settings, config.trained_betas);
    this.#shares = new SignalShares('pndm', shares, settings.set_alpha_to_one, this.timesteps);
    this.addNoise = (original, noise, at) => this.#shares.addNoise(original, noise, this.timesteps[at]!);
  }

  step(modelOutput: Float32Array, at: number, sample: Float32Array): Stepped {
    const timestep = this.timesteps[at]!;
    const stepped =
      this.#counter < this.#prkCount
        ? this.#rungeKutta(modelOutput, timestep, sample)
        : this.#multistep(modelOutput, timestep, sample);
    this.#counter++;
    return stepped;
  }

  /** Equation 13 of the paper: one of the four parts of a step. */
  #rungeKutta(modelOutput: Float32Array, timestep: number, sample: Float32Array): Stepped {
    const part = this.#counter % 4;
    const next = timestep - (this.#counter % 2 ? 0 : Math.floor(this.#stride / 2));
    // All parts start from where the step does.
    const from = this.timesteps[this.#counter - part]!;
    const weighted = multiply(part === 0 || part === 3 ? 1 / 6 : 1 / 3, modelOutput);
    const sum = part === 0 ? weighted : add(this.#sum!, weighted);
    this.#sum = sum;
    if (part === 0) {
      this.#outputs.push(modelOutput);
      this.#begun = sample;
    }
    return this.#previous(this.#begun!, from, next, part === 3 ? sum : modelOutput);
  }

  /** Equation 12 of the paper, of a lower order while there are few outputs. */
  #multistep(modelOutput: Float32Array, timestep: number, sample: Float32Array): Stepped {
    const isSecondLook = this.#counter === 1;
    const from = isSecondLook ? timestep + this.#stride : timestep;
    const next = isSecondLook ? timestep : timestep - this.#stride;
    if (!isSecondLook) this.#outputs = [...this.#outputs.slice(1 - ORDER), modelOutput];
    const [e1, e2, e3, e4] = this.#outputs.toReversed() as [Float32Array, ...Float32Array[]];

    let start = sample;
    let output: Float32Array;
    if (isSecondLook) {
      output = divide(add(modelOutput, e1), 2);
      start = this.#begun!;
    } else if (!e2) {
      output = modelOutput;
      this.#begun = sample;
    } else if (!e3) output = divide(combine([3, e1], [-1, e2]), 2);
    else if (!e4) output = divide(combine([23, e1], [-16, e2], [5, e3]), 12);
    else output = multiply(1 / 24, combine([55, e1], [-59, e2], [37, e3], [-9, e4]));
    return this.#previous(start, from, next, output);
  }

  /** Equation 11 of the paper: the sample at another timestep. */
  #previous(sample: Float32Array, timestep: number, next: number, modelOutput: Float32Array): Stepped {
    const [alpha, alphaNext] = [this.#shares.at(timestep), this.#shares.at(next)];
    const [beta, betaNext] = [f32(1 - alpha), f32(1 - alphaNext)];
    const shares = this.#shares.factors(timestep);
    const epsilon = epsilonOf(this.#prediction, shares, modelOutput, sample);
    const product = f32(f32(alpha * beta) * alphaNext);
    const denominator = f32(f32(alpha * sqrt(betaNext)) + sqrt(product));
    const change = divide(multiply(f32(alphaNext - alpha), epsilon), denominator);
    return {
      sample: subtract(multiply(sqrt(f32(alphaNext / alpha)), sample), change),
      original: originalOf('epsilon', shares, epsilon, sample),
    };
  }
}

/** The timesteps of the parts of three Runge-Kutta steps: at a step, twice half way to the next one, and there. */
function rungeKuttaTimesteps(spaced: readonly number[], half: number): number[] {
  return [0, 1, 2].flatMap((i) => {
    const [from, to] = [spaced[i]!, spaced[i + 1]!];
    return [from, to + half, to + half, to];
  });
}
