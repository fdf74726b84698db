import textformat from 'protobufjs/ext/textformat.js';
import { printable } from '../../../compiler/printable.js';
import type { Datatype } from '../tensor.js';
import { configFault } from './config-fault.js';
import { MODEL_CONFIG } from './message.js';
import {
  type ConfigTensor,
  type EnsembleStep,
  type ModelConfig,
  NO_CONFIG,
  type WarmupSample,
} from './model-config.js';
import { idleFields, refuseUnserved } from './unserved.js';
import type { WrittenConfig, WrittenTensor } from './written-config.js';

/** Processes for one model: more is a slip, and each holds the model. */
const MOST_WORKERS = 256;
const MOST_THREADS = 1024;

/**
 * Reads a config.pbtxt: Triton's ModelConfig in protobuf's text format.
 * @param model its folder's name
 * @throws IpgraftError `SERVER_CONFIG` for what is not this format, for fields that Triton does not know, for values that cannot be, and for what
 *   would change answers and is not served
 */
export function parseConfig(text: string, model: string): ModelConfig {
  const written = writtenConfig(text, model);
  refuseUnserved(written, model);
  const isEnsemble = written.ensemble_scheduling !== undefined;
  const { default_queue_policy: queue } = written.dynamic_batching ?? {};
  const versions = versionsOf(written, model);
  const workers = workersOf(written, model);
  const threads = threadsOf(written, model);
  return {
    isEnsemble,
    maxBatchSize: atLeast(0, written.max_batch_size ?? 0, 'max_batch_size', model),
    inputs: tensorsOf('input', written.input, written.max_batch_size ?? 0, model),
    outputs: tensorsOf('output', written.output, written.max_batch_size ?? 0, model),
    filename: filenameOf(written, model),
    ...(versions !== undefined && { versions }),
    ...(workers !== undefined && { workers }),
    ...(threads !== undefined && { threads }),
    // 0 is no limit in Triton; here it leaves the server's.
    ...(queue?.max_queue_size && { queueSize: queue.max_queue_size }),
    ...(queue?.default_timeout_microseconds && { timeout: queue.default_timeout_microseconds / 1000 }),
    ...(written.response_cache !== undefined && { responseCache: written.response_cache.enable === true }),
    warmup: warmupOf(written, model),
    steps: stepsOf(written, model),
    unused: idleFields(written),
  };
}

/** The same as it was written, nothing judged but its form. @throws IpgraftError `SERVER_CONFIG` */
export function writtenConfig(text: string, model: string): WrittenConfig {
  try {
    const message = textformat.fromText(MODEL_CONFIG, text);
    return MODEL_CONFIG.toObject(message, { longs: Number, enums: String }) as WrittenConfig;
  } catch (error) {
    throw configFault(model, printable((error as Error).message.replace(/^\./, '')), error);
  }
}

function tensorsOf(
  kind: 'input' | 'output',
  written: readonly WrittenTensor[] = [],
  maxBatchSize: number,
  model: string,
): ConfigTensor[] {
  const names = new Set<string>();
  return written.map(({ name = '', data_type: type, dims = [], optional = false, reshape }) => {
    const what = `${kind} “${printable(name)}”`;
    if (name === '') throw configFault(model, `${kind}: sought a name, found none`);
    if (names.has(name)) throw configFault(model, `${what} is there twice`);
    names.add(name);
    const isRowScalar = maxBatchSize > 0 && reshape !== undefined && (reshape.shape ?? []).length === 0;
    return {
      name,
      datatype: datatypeOf(type, what, model),
      dims: dimsOf(dims, what, model),
      optional,
      ...(isRowScalar && { isRowScalar }),
    };
  });
}

function datatypeOf(type: string | undefined, what: string, model: string): Datatype {
  if (type === undefined || type === 'TYPE_INVALID')
    throw configFault(model, `${what}: sought a data_type, found ${type ?? 'none'}`);
  return type === 'TYPE_STRING' ? 'BYTES' : (type.slice('TYPE_'.length) as Datatype);
}

function dimsOf(dims: readonly number[], what: string, model: string): readonly number[] {
  if (dims.length > 0 && dims.every((size) => Number.isSafeInteger(size) && (size > 0 || size === -1)))
    return dims;
  throw configFault(model, `${what}: sought dims above 0 or -1, found [${dims.slice(0, 16).join(', ')}]`);
}

function filenameOf(
  { default_model_filename: name = NO_CONFIG.filename }: WrittenConfig,
  model: string,
): string {
  // A plain name: none that leads out of its folder.
  if (/^[A-Za-z0-9_][\w.-]{0,254}$/.test(name)) return name;
  throw configFault(
    model,
    `default_model_filename: sought letters, digits, '_', '.' and '-', found “${printable(name)}”`,
  );
}

function versionsOf({ version_policy: policy }: WrittenConfig, model: string): readonly string[] | undefined {
  if (policy?.specific === undefined) return undefined;
  const { versions = [] } = policy.specific;
  if (versions.length > 0 && versions.every((each) => Number.isSafeInteger(each) && each > 0))
    return versions.map(String);
  throw configFault(
    model,
    `version_policy: sought versions from 1, found ${versions.slice(0, 16).join(', ') || 'none'}`,
  );
}

function workersOf({ instance_group: groups }: WrittenConfig, model: string): number | undefined {
  if (groups === undefined) return undefined;
  const count = groups.reduce(
    (sum, each) => sum + atLeast(1, each.count || 1, 'instance_group: count', model),
    0,
  );
  if (count <= MOST_WORKERS) return count;
  throw configFault(model, `instance_group: sought ${MOST_WORKERS} instances at most, found ${count}`);
}

function threadsOf({ parameters }: WrittenConfig, model: string): number | undefined {
  const text = new Map(Object.entries(parameters ?? {})).get('intra_op_thread_count')?.string_value;
  const count = Number(text ?? 0);
  if (Number.isInteger(count) && count >= 0 && count <= MOST_THREADS) return count === 0 ? undefined : count;
  throw configFault(
    model,
    `parameter intra_op_thread_count: sought a whole number from 0 to ${MOST_THREADS}, found “${printable(text!)}”`,
  );
}

function warmupOf(
  { model_warmup: samples = [], max_batch_size: batch = 0 }: WrittenConfig,
  model: string,
): WarmupSample[] {
  return samples.map(({ name = '', batch_size: size = 0, count = 0, inputs = {} }) => {
    const what = `model_warmup “${printable(name)}”`;
    // 0 is how one without batches is written too.
    if (size > Math.max(1, batch))
      throw configFault(model, `${what}: sought a batch_size up to ${Math.max(1, batch)}, found ${size}`);
    return {
      name,
      count: Math.max(1, count),
      batchSize: Math.max(1, size),
      inputs: Object.entries(inputs).map(([input, { data_type: type, dims = [], ...data }]) => {
        const which = `${what}: input “${printable(input)}”`;
        if (data.zero_data === undefined && data.random_data === undefined)
          throw configFault(model, `${which}: sought zero_data or random_data`);
        if (dims.some((size) => !Number.isSafeInteger(size) || size < 0))
          throw configFault(model, `${which}: sought dims from 0, found [${dims.slice(0, 16).join(', ')}]`);
        return {
          name: input,
          datatype: datatypeOf(type, which, model),
          dims,
          data: data.random_data === undefined ? ('zero' as const) : ('random' as const),
        };
      }),
    };
  });
}

function stepsOf({ ensemble_scheduling: scheduling }: WrittenConfig, model: string): EnsembleStep[] {
  if (scheduling === undefined) return [];
  const { step: steps = [] } = scheduling;
  if (steps.length === 0) throw configFault(model, 'ensemble_scheduling: sought a step, found none');
  return steps.map(({ model_name: name = '', model_version: version = -1, input_map, output_map }) => {
    if (name === '') throw configFault(model, 'ensemble_scheduling: sought a model_name in each step');
    if (version !== -1 && !(Number.isSafeInteger(version) && version > 0))
      throw configFault(model, `ensemble_scheduling: sought a model_version from 1, or -1, found ${version}`);
    return {
      model: name,
      version: version === -1 ? undefined : String(version),
      inputs: new Map(Object.entries(input_map ?? {})),
      outputs: new Map(Object.entries(output_map ?? {})),
    };
  });
}

function atLeast(lowest: number, found: number, what: string, model: string): number {
  if (found >= lowest) return found;
  throw configFault(model, `${what}: sought ${lowest} or more, found ${found}`);
}
