import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parsePythonJson } from '../../runtime/pipeline/python-json.js';
import { TorchGenerator } from '../../runtime/pipeline/random/torch-generator.js';
import { readSchedulerConfig, schedulerOf } from '../../runtime/pipeline/schedulers/config.js';
import { createScheduler } from '../../runtime/pipeline/schedulers/create-scheduler.js';
import { SCHEDULER_NAMES, type SchedulerName } from '../../runtime/pipeline/schedulers/scheduler.js';
import { fixturePath } from '../fixtures.js';
import { type Reference, readReference } from '../numbers.js';
import { refusal } from '../refusal.js';

/** One run of diffusers: see fixtures/generate/schedulers.py. */
interface Case {
  scheduler: SchedulerName;
  config: Record<string, unknown>;
  steps: number;
  strength: number;
  eta: number;
  init_noise_sigma: number;
  timesteps: number[];
}

/**
 * Of the largest number in a sample and in the one before it, or of 1: samples of Euler's schedulers are as large as their sigmas.
 * torch's own square roots are a bit off in the last place.
 */
const TOLERANCE = 1e-5;
const SIZE = 32;

/** The largest absolute value, or 1. */
function sizeOf(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
}

function assertClose(found: Float32Array, expected: Float32Array, size: number, what: string): void {
  assert.equal(found.length, expected.length, what);
  found.forEach((value, i) => {
    assert.ok(
      Math.abs(value - expected[i]!) <= TOLERANCE * size,
      `${what}: ${value} instead of ${expected[i]} at ${i}`,
    );
  });
}
/** Runs a case as the Python did, each step on what our own step before gave. */
function check(reference: Reference, number: number, { config, ...given }: Case): void {
  const rows = (name: string) => {
    const { data } = reference.get(name);
    return Array.from({ length: data.length / SIZE }, (_, i) =>
      Float32Array.from(data.slice(i * SIZE, (i + 1) * SIZE)),
    );
  };
  const [first, original, extra] = rows('shared') as [Float32Array, Float32Array, Float32Array];
  const outputs = rows('outputs');
  const scheduler = createScheduler(given.scheduler, readSchedulerConfig(config), given);
  assert.equal(scheduler.timesteps.length, given.timesteps.length);
  scheduler.timesteps.forEach((timestep, i) => {
    assert.ok(
      Math.abs(timestep - given.timesteps[i]!) <= 1e-6 * given.timesteps[0]!,
      `timestep ${i}: ${timestep}`,
    );
  });
  assert.ok(Math.abs(scheduler.initNoiseSigma / given.init_noise_sigma - 1) < 1e-6);

  const noised = rows(`${number}.noised`);
  assertClose(scheduler.addNoise(original, extra, 0), noised[0]!, sizeOf(noised[0]!), 'noised');
  let sample: Float32Array =
    given.strength < 1 ? noised[0]! : first.map((value) => value * scheduler.initNoiseSigma);
  const generator = new TorchGenerator(number);
  for (const [i, expected] of rows(`${number}.steps`).entries()) {
    const scaled = scheduler.scaleModelInput(sample, i);
    const modelOutput = outputs[i]!.map((value, j) => value + Math.fround(0.25 * scaled[j]!));
    const size = Math.max(sizeOf(sample), sizeOf(expected));
    sample = scheduler.step(modelOutput, i, sample, () => generator.normal(SIZE));
    assertClose(sample, expected, size, `step ${i}`);
    if (i === 0 && given.timesteps.length > 1)
      assertClose(scheduler.addNoise(original, extra, 1), noised[1]!, sizeOf(noised[1]!), 'noised later');
  }
  if (reference.has(`${number}.original`))
    assertClose(scheduler.predictedOriginal!, rows(`${number}.original`)[0]!, sizeOf(sample), 'original');
}

/** What of a configuration is not Stable Diffusion's own. */
function titleOf({ config, steps, strength, eta }: Case): string {
  const { _class_name, _diffusers_version, trained_betas, ...rest } = config;
  const keys = Object.entries(rest).map(([key, value]) => `${key} ${value}`);
  return `${steps} steps, strength ${strength}, eta ${eta}, ${_class_name}, ${trained_betas ? 'trained betas, ' : ''}${keys.join(', ')}`;
}

describe('schedulers give what those of diffusers give', () => {
  const { cases }: { cases: Case[] } = JSON.parse(
    readFileSync(fixturePath('schedulers', 'schedulers.json'), 'utf8'),
  );
  for (const name of SCHEDULER_NAMES) {
    it(name, async () => {
      const reference = await readReference(fixturePath('schedulers', 'schedulers.safetensors'));
      let count = 0;
      for (const [number, each] of cases.entries()) {
        if (each.scheduler !== name) continue;
        try {
          check(reference, number, each);
        } catch (error) {
          throw new Error(`case ${number}: ${titleOf(each)}`, { cause: error });
        }
        count++;
      }
      assert.ok(count >= 25, `${count} cases`);
    });
  }
});

describe('schedulers refuse', () => {
  const invalid = refusal('OPTION_SCHEDULER');
  const noise = () => new Float32Array(4);
  const sample = new Float32Array(4);

  it('steps out of order, twice, past the end, and on a sample of another size', () => {
    const scheduler = createScheduler('ddim', {}, { steps: 2 });
    assert.throws(() => scheduler.step(sample, 1, sample, noise), invalid);
    assert.throws(() => scheduler.scaleModelInput(sample, 1), invalid);
    assert.throws(() => scheduler.step(new Float32Array(5), 0, sample, noise), invalid);
    scheduler.step(sample, 0, sample, noise);
    assert.throws(() => scheduler.step(sample, 0, sample, noise), invalid);
    scheduler.step(sample, 1, sample, noise);
    assert.throws(() => scheduler.step(sample, 2, sample, noise), invalid);
    assert.throws(() => scheduler.addNoise(sample, sample, 2), invalid);
  });

  it('steps, strength and eta out of their ranges', () => {
    for (const steps of [0, -1, 1.5, 1001, Number.NaN])
      assert.throws(() => createScheduler('ddim', {}, { steps }), invalid);
    for (const strength of [0, -0.5, 1.01, Number.NaN, 0.2])
      assert.throws(() => createScheduler('ddim', {}, { steps: 4, strength }), invalid);
    for (const eta of [-0.1, 1.1, Number.NaN])
      assert.throws(() => createScheduler('ddim', {}, { steps: 4, eta }), invalid);
  });

  const values: [SchedulerName, Record<string, unknown>, RegExp][] = [
    ['ddim', { thresholding: true }, /thresholding = true/],
    ['ddim', { beta_schedule: 'sigmoid' }, /beta_schedule = sigmoid/],
    ['ddim', { prediction_type: 'flow_prediction' }, /prediction_type = flow_prediction/],
    ['ddim', { timestep_spacing: 'karras' }, /timestep_spacing = karras/],
    ['ddim', { trained_betas: [0.1, 0.2], num_train_timesteps: 9 }, /trained_betas = 2/],
    ['ddim', { steps_offset: 600 }, /timestep = 1\d\d\d/],
    ['ddim', { beta_end: 1.5 }, /beta = 1\.0/],
    ['euler', { prediction_type: 'flow_prediction' }, /prediction_type = flow_prediction/],
    [
      'euler',
      { use_karras_sigmas: true, use_beta_sigmas: true },
      /use_beta_sigmas = true: use_karras_sigmas/,
    ],
    ['euler', { interpolation_type: 'cubic' }, /interpolation_type = cubic/],
    ['euler', { timestep_type: 'fractional' }, /timestep_type = fractional/],
    ['euler', { final_sigmas_type: 'one' }, /final_sigmas_type = one/],
    ['euler-a', { prediction_type: 'sample' }, /prediction_type = sample/],
    ['dpmpp-2m', { thresholding: true }, /thresholding = true/],
    ['dpmpp-2m', { use_flow_sigmas: true }, /use_flow_sigmas = true/],
    ['dpmpp-2m', { variance_type: 'learned' }, /variance_type = learned/],
    ['dpmpp-2m', { algorithm_type: 'dpm' }, /algorithm_type = dpm/],
    ['dpmpp-2m', { algorithm_type: 'dpmsolver' }, /final_sigmas_type = zero/],
    ['dpmpp-2m', { solver_type: 'rk' }, /solver_type = rk/],
    ['dpmpp-2m', { solver_order: 4 }, /solver_order = 4/],
    [
      'dpmpp-2m',
      { solver_order: 3, algorithm_type: 'sde-dpmsolver', final_sigmas_type: 'sigma_min' },
      /solver_order = 3/,
    ],
    ['dpmpp-2m-karras', { use_exponential_sigmas: true }, /use_exponential_sigmas = true/],
    ['pndm', { prediction_type: 'sample' }, /prediction_type = sample/],
    ['pndm', { steps_offset: 600 }, /timestep = 1\d\d\d/],
    ['lcm', { original_inference_steps: 3 }, /steps = 4: original_inference_steps is 3/],
    ['lcm', { original_inference_steps: 2000 }, /original_inference_steps = 2000/],
    ['lcm', { thresholding: true }, /thresholding = true/],
    ['unipc', { solver_p: {} }, /solver_p = /],
    ['unipc', { solver_order: 0 }, /solver_order = 0/],
    ['unipc', { use_dynamic_shifting: true }, /use_dynamic_shifting = true/],
    ['unipc', { solver_type: 'bh1' }, /final_sigmas_type = zero/],
    ['unipc', { predict_x0: false }, /final_sigmas_type = zero/],
    ['unipc', { lower_order_final: false }, /final_sigmas_type = zero/],
  ];
  for (const [name, config, message] of values)
    it(`${name}: ${JSON.stringify(config)}`, () => {
      const create = () => createScheduler(name, readSchedulerConfig(config), { steps: 4 });
      assert.throws(create, invalid);
      assert.throws(create, message);
    });

  it('pndm: Runge-Kutta steps where there are too few', () => {
    assert.throws(() => createScheduler('pndm', {}, { steps: 3 }), invalid);
    createScheduler('pndm', { skip_prk_steps: true }, { steps: 3 });
  });

  it('configurations that are none', () => {
    for (const json of [
      null,
      3,
      [],
      'text',
      { steps_offset: '1' },
      { num_train_timesteps: 1e9 },
      { trained_betas: [null] },
    ])
      assert.throws(() => readSchedulerConfig(json), invalid, JSON.stringify(json));
  });
});

describe('schedulers where diffusers has no numbers', () => {
  it('trailing timesteps are as many as were asked for, and none lies below 0', () => {
    for (const name of SCHEDULER_NAMES) {
      const config = readSchedulerConfig({ timestep_spacing: 'trailing', skip_prk_steps: true });
      const { timesteps } = createScheduler(name, config, { steps: name === 'lcm' ? 50 : 61 });
      assert.equal(timesteps.length, name === 'lcm' ? 50 : name === 'pndm' ? 62 : 61);
      assert.ok(timesteps.every((timestep) => timestep >= 0));
    }
  });

  it('ancestral steps from very large sigmas are numbers', () => {
    const config = readSchedulerConfig({ beta_schedule: 'squaredcos_cap_v2' });
    const scheduler = createScheduler('euler-a', config, { steps: 4 });
    let sample = Float32Array.of(1, -1).map((value) => value * scheduler.initNoiseSigma) as Float32Array;
    for (const i of scheduler.timesteps.keys())
      sample = scheduler.step(Float32Array.of(0.9, -1), i, sample, () => Float32Array.of(0.5, -0.5));
    assert.ok(sample.every(Number.isFinite), `${sample}`);
  });
});

describe('scheduler configurations', () => {
  it('name their scheduler', () => {
    assert.equal(schedulerOf({ _class_name: 'DDIMScheduler' }), 'ddim');
    assert.equal(schedulerOf({ _class_name: 'DPMSolverMultistepScheduler' }), 'dpmpp-2m');
    assert.equal(
      schedulerOf({ _class_name: 'DPMSolverMultistepScheduler', use_karras_sigmas: true }),
      'dpmpp-2m-karras',
    );
    assert.equal(schedulerOf({ _class_name: 'ScoreSdeVeScheduler' }), null);
    assert.equal(schedulerOf({}), null);
  });

  it('may hold the infinities that Python writes, and text that looks like one', () => {
    const config = readSchedulerConfig(
      parsePythonJson('{"lambda_min_clipped": -Infinity, "beta_schedule": "Infinity \\" -Infinity"}'),
    );
    assert.deepEqual(config, { lambda_min_clipped: -Infinity, beta_schedule: 'Infinity " -Infinity' });
  });

  it('leave out what is null, unknown, or a default of the class that they were saved from', () => {
    const config = readSchedulerConfig({
      trained_betas: null,
      skip_prk_steps: true,
      timestep_spacing: 'leading',
      another: 1,
      _use_default_values: ['timestep_spacing'],
    });
    assert.deepEqual(
      { ...config, _use_default_values: undefined },
      { skip_prk_steps: true, _use_default_values: undefined },
    );
  });
});
