import type { ModelInterface } from '../backend.js';
import type { Datatype, TensorMetadata } from '../tensor.js';
import type { ModelConfig } from './model-config.js';
import { isRowScalar } from './row-scalar.js';

/** Triton's name of what runs a model. */
export function platformOf({ isEnsemble }: ModelConfig): string {
  return isEnsemble ? 'ensemble' : 'onnxruntime_onnx';
}

/** Triton's ModelConfig as JSON: what the configuration says and what the model says, as far as it means something here. */
export function configJson(name: string, config: ModelConfig, { inputs, outputs }: ModelInterface): object {
  const { isEnsemble, maxBatchSize, workers, threads, queueSize, timeout, responseCache } = config;
  const entry = ({ name, datatype, shape }: TensorMetadata) => ({
    name,
    data_type: configType(datatype),
    dims: dimsOf(shape, maxBatchSize > 0),
    ...(isRowScalar(name, [...config.inputs, ...config.outputs]) && { reshape: { shape: [] } }),
  });
  return {
    name,
    platform: platformOf(config),
    backend: isEnsemble ? '' : 'onnxruntime',
    version_policy:
      config.versions === undefined
        ? { latest: { num_versions: 1 } }
        : { specific: { versions: config.versions.map(Number) } },
    max_batch_size: maxBatchSize,
    input: inputs.map((input) => ({ ...entry(input), format: 'FORMAT_NONE', optional: input.optional })),
    output: outputs.map(entry),
    ...(workers !== undefined && { instance_group: [{ name, kind: 'KIND_AUTO', count: workers }] }),
    ...(!isEnsemble && { default_model_filename: config.filename }),
    ...(threads !== undefined && {
      parameters: { intra_op_thread_count: { string_value: String(threads) } },
    }),
    ...((queueSize !== undefined || timeout !== undefined) && {
      dynamic_batching: {
        default_queue_policy: {
          max_queue_size: queueSize ?? 0,
          default_timeout_microseconds: Math.round((timeout ?? 0) * 1000),
        },
      },
    }),
    ...(responseCache !== undefined && { response_cache: { enable: responseCache } }),
    ...(config.warmup.length > 0 && { model_warmup: config.warmup.map(warmupJson) }),
    ...(isEnsemble && { ensemble_scheduling: { step: config.steps.map(stepJson) } }),
  };
}

function configType(datatype: Datatype): string {
  return `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`;
}

/** Triton's configurations have no empty shapes. */
function dimsOf(shape: readonly number[], isBatched: boolean): readonly number[] {
  return isBatched ? shape.slice(1) : shape.length === 0 ? [1] : shape;
}

function warmupJson({ name, count, batchSize, inputs }: ModelConfig['warmup'][number]): object {
  return {
    name,
    batch_size: batchSize,
    count,
    inputs: Object.fromEntries(
      inputs.map(({ name, datatype, dims, data }) => [
        name,
        { data_type: configType(datatype), dims, [`${data}_data`]: true },
      ]),
    ),
  };
}

function stepJson({ model, version, inputs, outputs }: ModelConfig['steps'][number]): object {
  return {
    model_name: model,
    model_version: version === undefined ? -1 : Number(version),
    input_map: Object.fromEntries(inputs),
    output_map: Object.fromEntries(outputs),
  };
}
