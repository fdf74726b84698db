import protobuf from 'protobufjs/light.js';
import { DATATYPE_SIZE } from '../tensor.js';

/** A message: its fields' types, `T[]` for repeated ones, `map<T>` by strings; and what may be said in it and is passed over. */
interface Described {
  readonly fields: Readonly<Record<string, string>>;
  /** Of each of these names at most one may be given. */
  readonly oneof?: readonly string[];
  readonly passedOver?: readonly string[];
}

/**
 * The parts of Triton's model_config.proto that are read here. What Triton knows and this server does not act on is named, so that it is no
 * mistake to write it; a message without fields is there to be noticed.
 */
const MESSAGES: Readonly<Record<string, Described>> = {
  ModelConfig: {
    fields: {
      name: 'string',
      platform: 'string',
      backend: 'string',
      runtime: 'string',
      version_policy: 'ModelVersionPolicy',
      max_batch_size: 'int32',
      input: 'ModelInput[]',
      output: 'ModelOutput[]',
      batch_input: 'BatchInput[]',
      batch_output: 'BatchOutput[]',
      optimization: 'ModelOptimizationPolicy',
      dynamic_batching: 'ModelDynamicBatching',
      sequence_batching: 'ModelSequenceBatching',
      ensemble_scheduling: 'ModelEnsembling',
      instance_group: 'ModelInstanceGroup[]',
      default_model_filename: 'string',
      cc_model_filenames: 'map<string>',
      metric_tags: 'map<string>',
      parameters: 'map<ModelParameter>',
      model_warmup: 'ModelWarmup[]',
      model_operations: 'ModelOperations',
      model_transaction_policy: 'ModelTransactionPolicy',
      model_repository_agents: 'ModelRepositoryAgents',
      response_cache: 'ModelResponseCache',
      model_metrics: 'ModelMetrics',
    },
    oneof: ['dynamic_batching', 'sequence_batching', 'ensemble_scheduling'],
  },
  ModelVersionPolicy: {
    fields: { latest: 'Latest', all: 'All', specific: 'Specific' },
    oneof: ['latest', 'all', 'specific'],
  },
  Latest: { fields: { num_versions: 'uint32' } },
  All: { fields: {} },
  Specific: { fields: { versions: 'int64[]' } },
  ModelInput: {
    fields: {
      name: 'string',
      data_type: 'DataType',
      format: 'Format',
      dims: 'int64[]',
      reshape: 'ModelTensorReshape',
      is_shape_tensor: 'bool',
      optional: 'bool',
      is_non_linear_format_io: 'bool',
    },
    passedOver: ['allow_ragged_batch'],
  },
  ModelOutput: {
    fields: {
      name: 'string',
      data_type: 'DataType',
      dims: 'int64[]',
      reshape: 'ModelTensorReshape',
      label_filename: 'string',
      is_shape_tensor: 'bool',
      is_non_linear_format_io: 'bool',
    },
  },
  ModelTensorReshape: { fields: { shape: 'int64[]' } },
  BatchInput: { fields: {}, passedOver: ['kind', 'target_name', 'data_type', 'source_input'] },
  BatchOutput: { fields: {}, passedOver: ['target_name', 'kind', 'source_input'] },
  ModelOptimizationPolicy: {
    fields: {},
    passedOver: [
      'graph',
      'priority',
      'cuda',
      'execution_accelerators',
      'input_pinned_memory',
      'output_pinned_memory',
      'gather_kernel_buffer_threshold',
      'eager_batching',
    ],
  },
  ModelDynamicBatching: {
    fields: { default_queue_policy: 'ModelQueuePolicy', preferred_batch_size: 'int32[]' },
    passedOver: [
      'max_queue_delay_microseconds',
      'preserve_ordering',
      'priority_levels',
      'default_priority_level',
      'priority_queue_policy',
    ],
  },
  ModelQueuePolicy: {
    fields: { default_timeout_microseconds: 'uint64', max_queue_size: 'uint32' },
    passedOver: ['timeout_action', 'allow_timeout_override'],
  },
  ModelSequenceBatching: {
    fields: {},
    passedOver: [
      'direct',
      'oldest',
      'max_sequence_idle_microseconds',
      'control_input',
      'state',
      'iterative_sequence',
    ],
  },
  ModelEnsembling: {
    fields: { step: 'Step[]' },
    passedOver: ['max_inflight_requests', 'max_inflight_responses'],
  },
  Step: {
    fields: {
      model_name: 'string',
      model_version: 'int64',
      input_map: 'map<string>',
      output_map: 'map<string>',
    },
  },
  ModelInstanceGroup: {
    fields: { kind: 'InstanceKind', count: 'int32' },
    passedOver: ['name', 'rate_limiter', 'gpus', 'secondary_devices', 'profile', 'passive', 'host_policy'],
  },
  ModelParameter: { fields: { string_value: 'string' } },
  ModelWarmup: {
    fields: { name: 'string', batch_size: 'uint32', inputs: 'map<WarmupInput>', count: 'uint32' },
  },
  WarmupInput: {
    fields: {
      data_type: 'DataType',
      dims: 'int64[]',
      zero_data: 'bool',
      random_data: 'bool',
      input_data_file: 'string',
    },
    oneof: ['zero_data', 'random_data', 'input_data_file'],
  },
  ModelOperations: { fields: {}, passedOver: ['op_library_filename'] },
  ModelTransactionPolicy: { fields: { decoupled: 'bool' } },
  ModelRepositoryAgents: { fields: {}, passedOver: ['agents'] },
  ModelResponseCache: { fields: { enable: 'bool' } },
  ModelMetrics: { fields: {}, passedOver: ['metric_control'] },
};

const ENUMS: Readonly<Record<string, readonly string[]>> = {
  DataType: [
    'TYPE_INVALID',
    ...Object.keys(DATATYPE_SIZE).map((datatype) => `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`),
  ],
  Format: ['FORMAT_NONE', 'FORMAT_NHWC', 'FORMAT_NCHW'],
  InstanceKind: ['KIND_AUTO', 'KIND_GPU', 'KIND_CPU', 'KIND_MODEL'],
};

/** Triton's ModelConfig for protobufjs' text format. Numbers of fields and enums are ours: only the text form is read. */
export const MODEL_CONFIG: protobuf.Type = protobuf.Root.fromJSON({
  nested: {
    ...Object.fromEntries(
      Object.entries(ENUMS).map(([name, values]) => [
        name,
        { values: Object.fromEntries(values.map((value, number) => [value, number])) },
      ]),
    ),
    ...Object.fromEntries(Object.entries(MESSAGES).map(([name, described]) => [name, message(described)])),
  },
}).lookupType('ModelConfig');

function message({ fields, oneof = [], passedOver = [] }: Described): protobuf.IType {
  return {
    fields: Object.fromEntries(
      Object.entries(fields).map(([name, type], index) => [name, { id: index + 1, ...typeOf(type) }]),
    ),
    ...(oneof.length > 0 && { oneofs: { choice: { oneof: [...oneof] } } }),
    // The text format skips what is reserved, whatever it says.
    reserved: [...passedOver],
  };
}

function typeOf(text: string): { readonly type: string; readonly rule?: string; readonly keyType?: string } {
  const [, inside] = /^map<(\w+)>$/.exec(text) ?? [];
  if (inside !== undefined) return { keyType: 'string', type: inside };
  return text.endsWith('[]') ? { rule: 'repeated', type: text.slice(0, -2) } : { type: text };
}
