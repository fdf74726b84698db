import { VERSION } from '../version.js';
import { platformOf } from './config/config-json.js';
import type { LoadedModel } from './repository/loaded-model.js';
import type { TensorMetadata } from './tensor.js';

/** What of Triton's extensions is there. */
const EXTENSIONS = [
  'binary_tensor_data',
  'model_repository',
  'model_repository(unload_dependents)',
  'model_configuration',
  'statistics',
  'parameters',
];

/** Name, version and extensions of the server, in the words of the protocol. */
export function serverMetadata(): object {
  return { name: 'ipgraft', version: VERSION, extensions: EXTENSIONS };
}

/** What a model is called, takes and gives, in the words of the protocol. */
export function modelMetadata({ name, version, model, config }: LoadedModel): object {
  const described = (tensors: readonly TensorMetadata[]) =>
    tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape }));
  return {
    name,
    versions: [version],
    platform: platformOf(config),
    inputs: described(model.inputs),
    outputs: described(model.outputs),
  };
}

/** The statistics extension's object. A model takes no batches apart, so that each request is a batch of 1. */
export function modelStatistics({ name, version, statistics }: LoadedModel): object {
  const { success, fail, queue, computeInput, computeInfer, computeOutput, lastInference } = statistics;
  const { cacheHit, cacheMiss, executions } = statistics;
  const compute = { compute_input: computeInput, compute_infer: computeInfer, compute_output: computeOutput };
  return {
    name,
    version,
    last_inference: lastInference,
    inference_count: executions,
    execution_count: executions,
    inference_stats: { success, fail, queue, ...compute, cache_hit: cacheHit, cache_miss: cacheMiss },
    response_stats: {},
    batch_stats: executions === 0 ? [] : [{ batch_size: 1, ...compute }],
    memory_usage: [],
  };
}
