import type { ModelInterface, ServedInput } from '../../serve/backend.js';
import type { ModelConfig } from '../../serve/config/model-config.js';
import type { Datatype, TensorMetadata } from '../../serve/tensor.js';
import { type SampleSize, sampleShape } from '../sample-shape.js';
import { type EnumValue, mapEntries, type TextMessage, textFormat } from './text-format.js';

/** What runs a model beside ONNX Runtime's own code for its device. */
export const ACCELERATORS = ['cuda', 'tensorrt'] as const;
/** In what precision TensorRT computes. */
export const PRECISIONS = ['fp32', 'fp16', 'bf16'] as const;

/** How a model is to be run. */
export interface TritonOptions {
  /** 0: one request at a time, of any shape that the model takes. */
  readonly maxBatch: number;
  /** How long a request waits for others to run with. Microseconds. */
  readonly queueDelay: number;
  /** `auto`: a GPU where there is one. */
  readonly device: 'auto' | 'gpu' | 'cpu';
  readonly accelerator: (typeof ACCELERATORS)[number] | null;
  /** Of TensorRT. */
  readonly precision: (typeof PRECISIONS)[number];
  /** How many sessions of the model there are on each device. */
  readonly instances: number;
  /** Of the request that warms a model up; `null`: none does. */
  readonly warmup: SampleSize | null;
}

/** A model as its configuration says it. */
export interface ConfiguredModel {
  readonly name: string;
  readonly filename: string;
  readonly model: ModelInterface;
}

/**
 * The config.pbtxt of an ONNX model, complete, so that Triton need not guess anything: every required input, every output, and the size of a batch.
 *
 * Source: docs/user_guide/model_configuration.md of triton-inference-server/server, and the README of its onnxruntime_backend.
 */
export function modelConfig({ name, filename, model }: ConfiguredModel, options: TritonOptions): string {
  const { maxBatch, device, accelerator, instances, warmup } = options;
  const inputs = model.inputs.filter(({ optional }) => !optional);
  return textFormat({
    name,
    backend: 'onnxruntime',
    max_batch_size: maxBatch,
    default_model_filename: filename === 'model.onnx' ? null : filename,
    input: inputs.map((input) => tensor(input, maxBatch)),
    output: model.outputs.map((output) => tensor(output, maxBatch)),
    // Without a count the backend makes two sessions on a CPU, each with the weights.
    instance_group: [{ kind: { enum: `KIND_${device.toUpperCase()}` }, count: instances }],
    dynamic_batching: maxBatch === 0 ? null : batching(options),
    optimization: accelerator === null ? null : optimization(options),
    model_warmup: warmup === null ? null : [warmupOf(inputs, maxBatch, warmup)],
  });
}

/** The config.pbtxt of an ensemble. */
export function ensembleConfig(name: string, { maxBatchSize, inputs, outputs, steps }: ModelConfig): string {
  const written = ({ name, datatype, dims }: ModelConfig['inputs'][number]) => ({
    name,
    data_type: typeOf(datatype),
    dims: [...dims],
  });
  return textFormat({
    name,
    platform: 'ensemble',
    max_batch_size: maxBatchSize,
    input: inputs.map(written),
    output: outputs.map(written),
    ensemble_scheduling: {
      step: steps.map(({ model, inputs: read, outputs: made }) => ({
        model_name: model,
        model_version: -1,
        input_map: mapEntries([...read]),
        output_map: mapEntries([...made]),
      })),
    },
  });
}

/**
 * With a batch it is not among the dims, and what is left of [B] is no shape that a configuration can have: a request brings [B, 1], and the
 * model gets [B]. Without one a scalar is [1], and Triton takes no empty reshape.
 */
function tensor({ name, datatype, shape }: TensorMetadata, maxBatch: number): TextMessage {
  const dims = maxBatch > 0 ? shape.slice(1) : shape;
  const isEmpty = dims.length === 0;
  return {
    name,
    data_type: typeOf(datatype),
    dims: isEmpty ? [1] : [...dims],
    reshape: isEmpty && maxBatch > 0 ? { shape: [] } : null,
  };
}

function typeOf(datatype: Datatype): EnumValue {
  return { enum: `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}` };
}

/** Powers of two up to the largest batch: of these sizes the batcher makes batches where it can. */
function batching({ maxBatch, queueDelay }: TritonOptions): TextMessage {
  const sizes: number[] = [];
  for (let size = 2; size <= maxBatch; size *= 2) sizes.push(size);
  return {
    preferred_batch_size: sizes.length === 0 ? null : sizes,
    max_queue_delay_microseconds: queueDelay,
  };
}

/** TensorRT keeps what it built beside the server's other caches: to build an engine for a UNet takes minutes. */
const TENSORRT_CACHE = '/tmp/ipgraft-tensorrt';
/** What a UNet of SDXL needs at most to build. Bytes. */
const TENSORRT_WORKSPACE = 8 * 1024 ** 3;

function optimization({ accelerator, precision }: TritonOptions): TextMessage {
  const parameters: [string, string][] =
    accelerator === 'tensorrt'
      ? [
          ['precision_mode', precision.toUpperCase()],
          ['max_workspace_size_bytes', String(TENSORRT_WORKSPACE)],
          ['trt_engine_cache_enable', 'true'],
          ['trt_engine_cache_path', TENSORRT_CACHE],
          ['trt_timing_cache_enable', 'true'],
        ]
      : [
          ['arena_extend_strategy', 'kSameAsRequested'],
          ['cudnn_conv_algo_search', 'HEURISTIC'],
        ];
  return {
    execution_accelerators: {
      gpu_execution_accelerator: [{ name: accelerator!, parameters: mapEntries(parameters) }],
    },
  };
}

/** One request of zeros, of a size as real ones have it. */
function warmupOf(inputs: readonly ServedInput[], maxBatch: number, size: SampleSize): TextMessage {
  const rows = maxBatch === 0 ? size.rows : Math.min(size.rows, maxBatch);
  return {
    name: 'sample',
    batch_size: maxBatch === 0 ? 0 : rows,
    inputs: mapEntries(
      inputs.map((input) => {
        const shape = sampleShape(input, { ...size, rows });
        const dims = maxBatch > 0 ? shape.slice(1) : shape;
        return [
          input.name,
          { data_type: typeOf(input.datatype), dims: dims.length === 0 ? [1] : dims, zero_data: true },
        ];
      }),
    ),
  };
}
