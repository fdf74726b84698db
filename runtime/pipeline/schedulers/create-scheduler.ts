import type { SchedulerConfig } from './config.js';
import { Ddim } from './ddim.js';
import { DpmSolver } from './dpm-solver.js';
import { Euler } from './euler.js';
import { EulerAncestral } from './euler-ancestral.js';
import { Lcm } from './lcm.js';
import { Pndm } from './pndm.js';
import { refused } from './refuse.js';
import { SCHEDULER_NAMES, type Scheduler, type SchedulerName, type Solver } from './scheduler.js';
import { UniPc } from './unipc.js';

/** What is asked for beside the configuration. */
export interface SchedulerOptions {
  /** How many steps a whole picture takes, from 1 to as many as the training had. */
  readonly steps: number;
  /** Image-to-image: the share of the steps that is taken, from the noisy end cut off; 1, all of them, when left out. */
  readonly strength?: number;
  /** DDIM's η, from 0 (when left out), no noise, to 1, as much as DDPM. */
  readonly eta?: number;
}

/**
 * A scheduler for one picture.
 * @param name which one; {@link schedulerOf} tells it from the configuration
 * @throws IpgraftError `OPTION_SCHEDULER`: a value of the configuration or an option that it does not take
 */
export function createScheduler(
  name: SchedulerName,
  config: SchedulerConfig,
  options: SchedulerOptions,
): Scheduler {
  const { steps, strength = 1, eta = 0 } = options;
  const most = config.num_train_timesteps ?? config.trained_betas?.length ?? 1000;
  if (!Number.isInteger(steps) || steps < 1 || steps > most)
    throw refused(name, 'steps', steps, `it must be a whole number from 1 to ${most}.`);
  if (!(strength > 0 && strength <= 1))
    throw refused(name, 'strength', strength, 'it must lie between 0 and 1.');
  if (!(eta >= 0 && eta <= 1)) throw refused(name, 'eta', eta, 'it must lie between 0 and 1.');
  // As diffusers' image-to-image pipelines count.
  const taken = Math.min(Math.trunc(steps * strength), steps);
  if (taken < 1) throw refused(name, 'strength', strength, `of ${steps} steps it leaves none.`);
  return inOrder(name, solverOf(name, config, steps, eta), steps - taken);
}

function solverOf(name: SchedulerName, config: SchedulerConfig, steps: number, eta: number): Solver {
  switch (name) {
    case 'ddim':
      return new Ddim(config, steps, eta);
    case 'euler':
      return new Euler(config, steps);
    case 'euler-a':
      return new EulerAncestral(config, steps);
    case 'dpmpp-2m':
      return new DpmSolver(name, config, steps);
    case 'dpmpp-2m-karras':
      return new DpmSolver(name, { ...config, use_karras_sigmas: true }, steps);
    case 'pndm':
      return new Pndm(config, steps);
    case 'lcm':
      return new Lcm(config, steps);
    case 'unipc':
      return new UniPc(config, steps);
    default:
      throw refused(name, 'scheduler', name, `it must be one of ${SCHEDULER_NAMES.join(', ')}.`);
  }
}

/** A solver from one of its steps on, which refuses to take steps out of order. */
function inOrder(name: SchedulerName, solver: Solver, start: number): Scheduler {
  const timesteps = solver.timesteps.slice(start);
  let due = 0;
  let predictedOriginal: Float32Array | null = null;
  const check = (index: number): void => {
    if (index !== due || due >= timesteps.length)
      throw refused(
        name,
        'step',
        index,
        `step ${due} of ${timesteps.length} is next; take a new scheduler for each picture.`,
      );
  };
  return {
    timesteps,
    initNoiseSigma: solver.initNoiseSigma,
    get predictedOriginal() {
      return predictedOriginal;
    },
    scaleModelInput(sample, index) {
      check(index);
      return solver.scaleModelInput?.(sample, index + start) ?? sample;
    },
    step(modelOutput, index, sample, noise) {
      check(index);
      if (modelOutput.length !== sample.length)
        throw refused(name, 'model output', modelOutput.length, `the sample has ${sample.length} numbers.`);
      const stepped = solver.step(modelOutput, index + start, sample, noise);
      due++;
      predictedOriginal = stepped.original;
      return stepped.sample;
    },
    addNoise(original, noise, index) {
      if (!(index in timesteps)) throw refused(name, 'step', index, `there are ${timesteps.length}.`);
      return solver.addNoise(original, noise, index + start);
    },
  };
}
