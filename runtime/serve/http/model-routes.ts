import type { FastifyInstance } from 'fastify';
import type { ModelInterface } from '../backend.js';
import type { LoadedModel } from '../repository/model-repository.js';
import type { Tally } from '../statistics.js';
import type { Datatype, TensorMetadata } from '../tensor.js';
import { modelOf } from './model-of.js';
import { modelPaths, route, type Service } from './routes.js';
import { sendJson } from './send.js';

/** As Triton calls ONNX Runtime. */
const PLATFORM = 'onnxruntime_onnx';

/** Readiness, metadata, configuration and statistics of models. */
export function addModelRoutes(app: FastifyInstance, service: Service): void {
  const { repository } = service;
  const find = (request: Parameters<typeof modelOf>[0]) => {
    const { name, version } = modelOf(request);
    return repository.find(name, version);
  };
  route(
    app,
    'GET',
    modelPaths('/ready'),
    (request, reply) => sendJson(reply, { name: find(request).name, ready: true }),
    { access: 'open', quiet: true, operation: 'modelReady' },
  );
  route(app, 'GET', modelPaths(''), (request, reply) => sendJson(reply, metadataOf(find(request))), {
    operation: 'modelMetadata',
  });
  route(app, 'GET', modelPaths('/config'), (request, reply) => sendJson(reply, configOf(find(request))), {
    operation: 'modelConfig',
  });
  route(
    app,
    'GET',
    modelPaths('/stats'),
    (request, reply) => sendJson(reply, { model_stats: [statisticsOf(find(request))] }),
    { operation: 'modelStatistics' },
  );
  route(
    app,
    'GET',
    '/v2/models/stats',
    (_, reply) => sendJson(reply, { model_stats: repository.ready.map(statisticsOf) }),
    { operation: 'statistics' },
  );
}

function metadataOf({ name, version, model }: LoadedModel): object {
  const described = (tensors: readonly TensorMetadata[]) =>
    tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape }));
  return {
    name,
    versions: [version],
    platform: PLATFORM,
    inputs: described(model.inputs),
    outputs: described(model.outputs),
  };
}

/** Triton's model configuration as far as it says something here: enough for perf_analyzer. */
function configOf({ name, model }: LoadedModel): object {
  const entry = ({ name, datatype, shape }: TensorMetadata) => ({
    name,
    data_type: configType(datatype),
    // Triton's configurations have no empty shapes.
    dims: shape.length === 0 ? [1] : shape,
  });
  return {
    name,
    platform: PLATFORM,
    backend: 'onnxruntime',
    version_policy: { latest: { num_versions: 1 } },
    max_batch_size: 0,
    input: model.inputs.map((input: ModelInterface['inputs'][number]) => ({
      ...entry(input),
      format: 'FORMAT_NONE',
      optional: input.optional,
    })),
    output: model.outputs.map(entry),
    default_model_filename: 'model.onnx',
  };
}

function configType(datatype: Datatype): string {
  return `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`;
}

/** The statistics extension's object. A model takes no batches apart, so that each request is a batch of 1. */
function statisticsOf({ name, version, statistics }: LoadedModel): object {
  const { success, fail, queue, computeInput, computeInfer, computeOutput, lastInference } = statistics;
  const none: Tally = { count: 0, ns: 0 };
  const compute = { compute_input: computeInput, compute_infer: computeInfer, compute_output: computeOutput };
  return {
    name,
    version,
    last_inference: lastInference,
    inference_count: success.count,
    execution_count: success.count,
    inference_stats: { success, fail, queue, ...compute, cache_hit: none, cache_miss: none },
    response_stats: {},
    batch_stats: success.count === 0 ? [] : [{ batch_size: 1, ...compute }],
    memory_usage: [],
  };
}
