import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { ResponseCache } from '../cache/response-cache.js';
import type { ModelRepository } from '../repository/model-repository.js';
import type { Access } from './access.js';
import { sendJson } from './send.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may use the route; `token` where it does not say. */
    access?: Access;
    /** Whether the route is asked so often that its requests are no news. */
    quiet?: boolean;
  }
}

/** What routes answer from. */
export interface Service {
  readonly repository: ModelRepository;
  /** Where answers are kept, if they are. */
  readonly cache: ResponseCache | undefined;
  /** Set when the server is about to end. */
  isDraining: boolean;
  /** Whether models may be loaded and unloaded. */
  readonly modelControl: 'none' | 'explicit';
  /** Milliseconds that a request may take when it does not ask for less. */
  readonly timeout: number;
}

/** Answers a request. */
export type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const satisfies HTTPMethods[];

/**
 * Adds a route, at one or several paths. Other methods are answered with 405 and the one there is.
 * @param options who may use it, and whether its requests are worth a line in the log
 */
export function route(
  app: FastifyInstance,
  method: 'GET' | 'POST' | readonly ['GET', 'POST'],
  urls: string | readonly string[],
  handler: Handler,
  options: { readonly access?: Access; readonly quiet?: boolean } = {},
): void {
  const methods: readonly HTTPMethods[] = [method].flat();
  for (const url of [urls].flat()) {
    app.route({ method: [...methods], url, handler, config: options });
    app.route({
      method: METHODS.filter((each) => !methods.includes(each)),
      url,
      handler: (request, reply) =>
        sendJson(
          reply.header('allow', methods.join(', ')),
          { error: `${request.method} is not for this path: sought ${methods.join(' or ')}` },
          405,
        ),
      config: options,
      exposeHeadRoute: false,
    });
  }
}

/** A path of a model, and of one of its versions. */
export function modelPaths(rest: string): readonly string[] {
  return [`/v2/models/:model${rest}`, `/v2/models/:model/versions/:version${rest}`];
}
