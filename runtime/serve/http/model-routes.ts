import type { FastifyInstance } from 'fastify';
import { configJson } from '../config/config-json.js';
import { modelMetadata, modelStatistics } from '../metadata.js';
import type { Service } from '../service.js';
import { modelOf } from './model-of.js';
import { modelPaths, route } from './routes.js';
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
  route(app, 'GET', modelPaths(''), (request, reply) => sendJson(reply, modelMetadata(find(request))), {
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
    (request, reply) => sendJson(reply, { model_stats: [modelStatistics(find(request))] }),
    { operation: 'modelStatistics' },
  );
  route(
    app,
    'GET',
    '/v2/models/stats',
    (_, reply) => sendJson(reply, { model_stats: repository.ready.map(modelStatistics) }),
    { operation: 'statistics' },
  );
}
