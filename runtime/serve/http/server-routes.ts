import type { FastifyInstance } from 'fastify';
import { IpgraftError } from '../../../compiler/errors.js';
import { serverMetadata } from '../metadata.js';
import { metricsText } from '../metrics.js';
import { pictureMetricsText } from '../pictures/picture-metrics.js';
import { checkReady, type Service } from '../service.js';
import { type Handler, route } from './routes.js';
import { sendJson } from './send.js';

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
  route(app, 'GET', '/v2/health/live', (_, reply) => sendJson(reply, { live: true }), {
    ...open,
    operation: 'serverLive',
  });
  route(
    app,
    'GET',
    '/v2/health/ready',
    (_, reply) => {
      checkReady(service);
      return sendJson(reply, { ready: true });
    },
    { ...open, operation: 'serverReady' },
  );
  route(app, 'GET', '/v2', (_, reply) => sendJson(reply, serverMetadata()), { operation: 'serverMetadata' });
  route(
    app,
    'GET',
    '/metrics',
    (_, reply) => {
      const { repository, cache, pictures } = service;
      const text = metricsText(repository.ready, cache) + pictureMetricsText(pictures.pipelines);
      return reply.header('content-type', 'text/plain; version=0.0.4').send(Buffer.from(text));
    },
    { quiet: true, operation: 'metrics' },
  );
  const refuseSettings = refusing('these settings cannot be changed by a request');
  const tracing = ['/v2/trace/setting', '/v2/models/:model/trace/setting'];
  route(app, 'GET', tracing, (_, reply) => sendJson(reply, TRACE), { operation: 'traceSettings' });
  route(app, 'POST', tracing, refuseSettings, { operation: 'changeTraceSettings' });
  route(app, 'GET', '/v2/logging', (_, reply) => sendJson(reply, LOGGING), { operation: 'logSettings' });
  // A client that could change them could write files of the server's (CVE-2024-0087).
  route(app, 'POST', '/v2/logging', refuseSettings, { operation: 'changeLogSettings' });
  const refuseMemory = refusing('shared memory is not served: send tensors in the request');
  for (const at of ['/v2/systemsharedmemory', '/v2/cudasharedmemory'])
    for (const place of [at, `${at}/region/:region`]) {
      route(app, 'GET', `${place}/status`, refuseMemory, { operation: 'sharedMemoryStatus' });
      route(app, 'POST', `${place}/register`, refuseMemory, { operation: 'registerSharedMemory' });
      route(app, 'POST', `${place}/unregister`, refuseMemory, { operation: 'unregisterSharedMemory' });
    }
}

/** Answers that the server does not do this. */
function refusing(why: string): Handler {
  return () => {
    throw new IpgraftError('SERVER_UNSUPPORTED', why);
  };
}
