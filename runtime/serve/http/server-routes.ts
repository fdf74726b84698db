import type { FastifyInstance } from 'fastify';
import { IpgraftError } from '../../../compiler/errors.js';
import { VERSION } from '../../version.js';
import { metricsText } from '../metrics.js';
import { route, type Service } from './routes.js';
import { sendJson } from './send.js';

/** What of Triton's extensions is there. */
const EXTENSIONS = [
  'binary_tensor_data',
  'model_repository',
  'model_repository(unload_dependents)',
  'model_configuration',
  'statistics',
  'parameters',
];

/** Settings of Triton's trace extension, which say that nothing is traced. */
const TRACE = {
  trace_level: ['OFF'],
  trace_rate: '1000',
  trace_count: '-1',
  log_frequency: '0',
  trace_file: '',
};
/** Settings of Triton's logging extension as they are here. */
const LOGGING = {
  log_file: '',
  log_info: true,
  log_warning: true,
  log_error: true,
  log_verbose_level: 0,
  log_format: 'default',
};

/** Health, server metadata, metrics, and what is refused of Triton's extensions: tracing, logging, shared memory. */
export function addServerRoutes(app: FastifyInstance, service: Service): void {
  const open = { access: 'open', quiet: true } as const;
  route(app, 'GET', '/v2/health/live', (_, reply) => sendJson(reply, { live: true }), open);
  route(
    app,
    'GET',
    '/v2/health/ready',
    (_, reply) => {
      if (service.isDraining) throw new IpgraftError('SERVER_MODEL_NOT_READY', 'the server is stopping');
      return sendJson(reply, { ready: true });
    },
    open,
  );
  route(app, 'GET', '/v2', (_, reply) =>
    sendJson(reply, { name: 'ipgraft', version: VERSION, extensions: EXTENSIONS }),
  );
  route(
    app,
    'GET',
    '/metrics',
    (_, reply) => {
      const text = metricsText(service.repository.ready, service.cache);
      return reply.header('content-type', 'text/plain; version=0.0.4').send(Buffer.from(text));
    },
    { quiet: true },
  );
  addSettings(app, ['/v2/trace/setting', '/v2/models/:model/trace/setting'], TRACE);
  addSettings(app, ['/v2/logging'], LOGGING);
  const memory = ['/v2/systemsharedmemory', '/v2/cudasharedmemory'].flatMap((at) => [
    at,
    `${at}/region/:region`,
  ]);
  const refuseMemory = () => {
    throw new IpgraftError('SERVER_UNSUPPORTED', 'shared memory is not served: send tensors in the request');
  };
  for (const at of memory) {
    route(app, 'GET', `${at}/status`, refuseMemory);
    route(app, 'POST', [`${at}/register`, `${at}/unregister`], refuseMemory);
  }
}

/** Settings that can be read. A client that could change them could write files of the server's (CVE-2024-0087). */
function addSettings(
  app: FastifyInstance,
  urls: readonly string[],
  settings: Readonly<Record<string, unknown>>,
): void {
  route(app, ['GET', 'POST'], urls, (request, reply) => {
    if (request.method !== 'POST') return sendJson(reply, settings);
    throw new IpgraftError('SERVER_UNSUPPORTED', 'these settings cannot be changed by a request');
  });
}
