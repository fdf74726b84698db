import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { Access } from '../access.js';
import type { OperationName } from './openapi/operations.js';
import { sendError } from './send-error.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may use the route; `token` where it does not say. */
    access?: Access;
    /** Whether the route is asked so often that its requests are no news. */
    quiet?: boolean;
    /** Whose form its errors have; the Open Inference Protocol's where it does not say. */
    dialect?: 'openai';
    /** What the route does, as the description of the server has it; absent where it only says which methods there are. */
    operation?: OperationName;
  }
}

/** Answers a request. */
export type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const satisfies HTTPMethods[];

/** What is known of a route beside its path. */
export interface RouteOptions {
  /** Its entry in the description of the server. */
  readonly operation: OperationName;
  readonly access?: Access;
  readonly quiet?: boolean;
  readonly dialect?: 'openai';
}

/** Adds a route, at one or several paths. */
export function route(
  app: FastifyInstance,
  method: Route['method'],
  urls: string | readonly string[],
  handler: Handler,
  options: RouteOptions,
): void {
  for (const url of [urls].flat()) app.route({ method, url, handler, config: options });
}

/** A route that was added. */
export interface Route extends RouteOptions {
  readonly method: 'GET' | 'POST';
  /** As Fastify writes it: `/v2/models/:model`. */
  readonly url: string;
}

/** The routes that {@link route} adds from now on, a list that grows with them. */
export function recordRoutes(app: FastifyInstance): readonly Route[] {
  const routes: Route[] = [];
  app.addHook('onRoute', ({ method, url, config }) => {
    // Others, which Fastify adds for HEAD, need no description of their own.
    if (config?.operation === undefined || !isDescribed(method)) return;
    routes.push({ ...config, operation: config.operation, method, url });
  });
  return routes;
}

function isDescribed(method: unknown): method is Route['method'] {
  return method === 'GET' || method === 'POST';
}

/** Answers other methods at the paths of these routes with 405, and the ones there are. */
export function refuseOtherMethods(app: FastifyInstance, routes: readonly Route[]): void {
  for (const url of new Set(routes.map((each) => each.url))) {
    const here = routes.filter((each) => each.url === url);
    const methods: readonly HTTPMethods[] = here.map(({ method }) => method);
    const [{ access = 'token', quiet = false, dialect }] = here as [Route];
    app.route({
      method: METHODS.filter((each) => !methods.includes(each)),
      url,
      handler: (request, reply) =>
        sendError(reply.header('allow', methods.join(', ')), {
          status: 405,
          text: `${request.method} is not for this path: sought ${methods.join(' or ')}`,
        }),
      config: { access, quiet, ...(dialect && { dialect }) },
      exposeHeadRoute: false,
    });
  }
}

/** A path of a model, and of one of its versions. */
export function modelPaths(rest: string): readonly string[] {
  return [`/v2/models/:model${rest}`, `/v2/models/:model/versions/:version${rest}`];
}
