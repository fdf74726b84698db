import { z } from 'zod';
import { refused } from './refuse.js';
import type { SchedulerName } from './scheduler.js';

/** Enough for any model there is, and few enough that a hostile file cannot make a schedule fill the memory. */
const MOST_TRAIN_TIMESTEPS = 100_000;

/** Any number but NaN; `lambda_min_clipped` is minus infinity in most files. */
const anyNumber = z.custom<number>(
  (value) => typeof value === 'number' && !Number.isNaN(value),
  'not a number',
);
const count = z.int().min(1).max(MOST_TRAIN_TIMESTEPS);

const schema = z
  .object({
    _class_name: z.string(),
    _use_default_values: z.array(z.string()),
    num_train_timesteps: count,
    beta_start: z.number().positive(),
    beta_end: z.number().positive(),
    beta_schedule: z.string(),
    trained_betas: z.array(z.number()).min(1).max(MOST_TRAIN_TIMESTEPS),
    prediction_type: z.string(),
    timestep_spacing: z.string(),
    timestep_type: z.string(),
    steps_offset: z.int().min(-MOST_TRAIN_TIMESTEPS).max(MOST_TRAIN_TIMESTEPS),
    rescale_betas_zero_snr: z.boolean(),
    clip_sample: z.boolean(),
    clip_sample_range: z.number(),
    set_alpha_to_one: z.boolean(),
    thresholding: z.boolean(),
    interpolation_type: z.string(),
    use_karras_sigmas: z.boolean(),
    use_exponential_sigmas: z.boolean(),
    use_beta_sigmas: z.boolean(),
    use_lu_lambdas: z.boolean(),
    use_flow_sigmas: z.boolean(),
    use_dynamic_shifting: z.boolean(),
    sigma_min: z.number().positive(),
    sigma_max: z.number().positive(),
    final_sigmas_type: z.string(),
    algorithm_type: z.string(),
    solver_order: z.int(),
    solver_type: z.string(),
    lower_order_final: z.boolean(),
    euler_at_final: z.boolean(),
    lambda_min_clipped: anyNumber,
    variance_type: z.string(),
    skip_prk_steps: z.boolean(),
    original_inference_steps: count,
    timestep_scaling: z.number(),
    predict_x0: z.boolean(),
    disable_corrector: z.array(z.int()).max(MOST_TRAIN_TIMESTEPS),
    solver_p: z.unknown(),
  })
  .partial();

/**
 * A `scheduler_config.json` of diffusers, any class's: the keys that any of the schedulers here reads. A scheduler takes the keys that its
 * class in diffusers has, and its class's defaults for what is missing, so that any of them can be made of any file
 * (`EulerDiscreteScheduler.from_config(pipeline.scheduler.config)`).
 */
export type SchedulerConfig = Readonly<z.infer<typeof schema>>;

/** Defaults of one class, and after {@link settingsOf} its settings. */
export type Settings<K extends keyof SchedulerConfig> = {
  readonly [Key in K]: NonNullable<SchedulerConfig[Key]>;
};

/**
 * Reads a scheduler's configuration. Keys that no scheduler here has are ignored, and so are keys that are null or named in
 * `_use_default_values`, as diffusers does.
 * @param json the parsed file
 * @throws IpgraftError `OPTION_SCHEDULER`: no object, or a key with a value of a wrong type
 */
export function readSchedulerConfig(json: unknown): SchedulerConfig {
  const object = z.record(z.string(), z.unknown()).safeParse(json);
  if (!object.success) throw refused('scheduler_config.json', 'the file', json, 'it must be an object.');
  const unset = z.array(z.unknown()).safeParse(object.data._use_default_values).data ?? [];
  const given = Object.entries(object.data).filter(([key, value]) => value !== null && !unset.includes(key));
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const key = String(issue?.path[0]);
  throw refused('scheduler_config.json', key, object.data[key], `${issue?.message}.`);
}

/** The settings of one class: what the file says of its keys, and its defaults. */
export function settingsOf<K extends keyof SchedulerConfig>(
  config: SchedulerConfig,
  defaults: Settings<K>,
): Settings<K> {
  const keys = Object.keys(defaults) as K[];
  return Object.fromEntries(keys.map((key) => [key, config[key] ?? defaults[key]])) as Settings<K>;
}

/** The classes of diffusers that have a scheduler here. */
const OF_CLASS: Readonly<Record<string, SchedulerName>> = {
  DDIMScheduler: 'ddim',
  EulerDiscreteScheduler: 'euler',
  EulerAncestralDiscreteScheduler: 'euler-a',
  DPMSolverMultistepScheduler: 'dpmpp-2m',
  PNDMScheduler: 'pndm',
  LCMScheduler: 'lcm',
  UniPCMultistepScheduler: 'unipc',
};

/** The scheduler that a configuration was saved from, by its `_class_name`; null where that one is not offered here. */
export function schedulerOf(config: SchedulerConfig): SchedulerName | null {
  const name = config._class_name === undefined ? undefined : OF_CLASS[config._class_name];
  if (name === 'dpmpp-2m' && config.use_karras_sigmas) return 'dpmpp-2m-karras';
  return name ?? null;
}
