import type { FastifyInstance } from 'fastify';
import { configJson, platformOf } from '../config/config-json.js';
import type { LoadedModel } from '../repository/loaded-model.js';
import type { TensorMetadata } from '../tensor.js';
import { modelOf } from './model-of.js';
import { modelPaths, route, type Service } from './routes.js';
import { sendJson } from './send.js';

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
  route(
    app,
    'GET',
    modelPaths('/config'),
    (request, reply) => {
      const { name, config, model } = find(request);
      return sendJson(reply, configJson(name, config, model));
    },
    { operation: 'modelConfig' },
  );
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

function metadataOf({ name, version, model, config }: LoadedModel): object {
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
function statisticsOf({ name, version, statistics }: LoadedModel): object {
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
