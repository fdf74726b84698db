import { randomUUID } from 'node:crypto';
import type { Writable } from 'node:stream';
import { type FastifyInstance, type FastifyRequest, fastify, LogController } from 'fastify';
import { IpgraftError } from '../../../compiler/errors.js';
import type { Service } from '../service.js';
import { type Admission, admit } from './admission.js';
import { decompress } from './compression.js';
import { allowOrigins } from './cors.js';
import { addDescriptionRoute } from './description-route.js';
import { addImageRoutes } from './images/image-routes.js';
import { addInferRoute } from './infer-route.js';
import { limitSending } from './limit-sending.js';
import { logLines } from './log-lines.js';
import { addModelRoutes } from './model-routes.js';
import { addPageRoutes } from './page-route.js';
import { addRepositoryRoutes } from './repository-routes.js';
import { recordRoutes, refuseOtherMethods } from './routes.js';
import { sendJson } from './send.js';
import { sendError } from './send-error.js';
import { addServerRoutes } from './server-routes.js';
import { answerTo } from './status.js';

/** How the HTTP server is to be. */
export interface HttpOptions extends Admission {
  /** Largest body, as it comes and decompressed. Bytes. */
  readonly maxBody: number;
  /** Where log lines go, as JSON; nowhere without it. What its reader does not take within 1 MiB is lost. */
  readonly log?: Writable;
  /** Milliseconds in which a request must have come in whole. */
  readonly requestTimeout?: number;
  /** Milliseconds in which a client must have taken an answer whole. */
  readonly answerTimeout?: number;
}

/** Milliseconds for 64 MiB on a slow line, either way. */
export const REQUEST_TIMEOUT = 60_000;
export const ANSWER_TIMEOUT = 60_000;

/** The server of the Open Inference Protocol, not listening yet. */
export async function createHttpServer(service: Service, options: HttpOptions): Promise<FastifyInstance> {
  const { maxBody, log, requestTimeout = REQUEST_TIMEOUT, answerTimeout = ANSWER_TIMEOUT } = options;
  const app = fastify({
    logger: log === undefined ? false : { stream: logLines(log) },
    // One line for each request of ours, below, in the place of two of Fastify's.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: maxBody,
    requestTimeout,
    http: { headersTimeout: requestTimeout, connectionsCheckingInterval: Math.min(5000, requestTimeout) },
    genReqId: ({ headers }) => {
      const given = headers['x-request-id'];
      return typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : randomUUID();
    },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1000 },
    frameworkErrors: (error, request, reply) => {
      const { status, text } = answerTo(error, request.id);
      sendJson(reply, { error: text }, status);
    },
    clientErrorHandler: (error, socket) => {
      if (!socket.writable || (error as NodeJS.ErrnoException).code === 'ECONNRESET')
        return void socket.destroy();
      const status = CLIENT_ERRORS[(error as NodeJS.ErrnoException).code ?? ''] ?? '400 Bad Request';
      const body = JSON.stringify({ error: status.slice(4) });
      const headers = `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close`;
      socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`);
    },
  });
  // Bodies are ours to read, whatever a client calls them: tritonclient gives them no type, or the wrong one.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request: FastifyRequest, body: Buffer) =>
    decompress(body, request.headers['content-encoding'], maxBody),
  );
  await allowOrigins(app, options.origins ?? []);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    admit(request, options);
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request;
    const line = { method, url, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 };
    request.log[request.routeOptions.config.quiet ? 'debug' : 'info'](line, 'answered');
  });
  // A connection that stays open would hold up the end.
  app.addHook('onSend', async (_, reply) => {
    if (service.isDraining) reply.header('connection', 'close');
  });
  limitSending(app, answerTimeout);
  app.setErrorHandler((error, request, reply) => {
    const answer = answerTo(error, request.id);
    const { status } = answer;
    if (status >= 500) request.log.error({ err: error }, 'failed');
    if (status === 401) reply.header('www-authenticate', 'Bearer');
    if (error instanceof IpgraftError && 'retryAfter' in error.facts)
      reply.header('retry-after', error.facts.retryAfter);
    if (status === 415) reply.header('accept-encoding', 'gzip, deflate');
    return sendError(reply, answer, error);
  });
  app.setNotFoundHandler((_, reply) => sendJson(reply, { error: 'there is nothing at this path' }, 404));
  const routes = recordRoutes(app);
  addServerRoutes(app, service);
  addModelRoutes(app, service);
  addRepositoryRoutes(app, service);
  addInferRoute(app, service);
  await addImageRoutes(app, service, maxBody);
  addPageRoutes(app, service.pictures.pipelines.length > 0);
  addDescriptionRoute(app, service, options, routes);
  refuseOtherMethods(app, routes);
  return app;
}

/** What is answered where no request was formed, by Node's code of the error. */
const CLIENT_ERRORS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};
