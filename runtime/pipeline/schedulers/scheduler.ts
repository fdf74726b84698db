/** The schedulers there are, by the names that users give them. */
export const SCHEDULER_NAMES = [
  'ddim',
  'euler',
  'euler-a',
  'dpmpp-2m',
  'dpmpp-2m-karras',
  'pndm',
  'lcm',
  'unipc',
] as const;

/** One of {@link SCHEDULER_NAMES}. */
export type SchedulerName = (typeof SCHEDULER_NAMES)[number];

/**
 * How one picture, or one batch of them, goes from noise to latents. Samples are flat arrays of any shape. A scheduler keeps what the
 * steps before gave: take a new one for each picture, and run each step once, from the first one to the last.
 * Numbers are those of diffusers 0.42.1 with float32 tensors on a CPU.
 */
export interface Scheduler {
  /** What the UNet is given as `timestep`, step by step; whole numbers but with `euler` and `euler-a`. */
  readonly timesteps: readonly number[];
  /** The standard deviation that the noise of the first sample must have. */
  readonly initNoiseSigma: number;
  /** What the last step took for the finished sample, for previews; null before the first one. */
  readonly predictedOriginal: Float32Array | null;
  /**
   * What the UNet is given as `sample` at a step.
   * @throws IpgraftError `OPTION_SCHEDULER`: a step out of order
   */
  scaleModelInput(sample: Float32Array, index: number): Float32Array;
  /**
   * The sample of the next step.
   * @param modelOutput what the UNet gave, after guidance
   * @param index the step, as an index into {@link timesteps}
   * @param sample the sample of this step, before {@link scaleModelInput}
   * @param noise as many normal numbers as the sample has; it is asked when and only when diffusers draws some
   * @throws IpgraftError `OPTION_SCHEDULER`: a step out of order, or arrays of different lengths
   */
  step(
    modelOutput: Float32Array,
    index: number,
    sample: Float32Array,
    noise: () => Float32Array,
  ): Float32Array;
  /** A finished sample made as noisy as samples are at a step: how image-to-image begins, and what inpainting keeps. */
  addNoise(original: Float32Array, noise: Float32Array, index: number): Float32Array;
}

/** What a step gives. */
export interface Stepped {
  readonly sample: Float32Array;
  /** The finished sample as this step sees it. */
  readonly original: Float32Array;
}

/** One scheduler over all of its timesteps; {@link Scheduler} is what is left of them after `strength`, with the order of steps guarded. */
export interface Solver {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma: number;
  readonly scaleModelInput?: (sample: Float32Array, at: number) => Float32Array;
  step(modelOutput: Float32Array, at: number, sample: Float32Array, noise: () => Float32Array): Stepped;
  addNoise(original: Float32Array, noise: Float32Array, at: number): Float32Array;
}
