import type { FastifyInstance, FastifyRequest } from 'fastify';
import { IpgraftError } from '../../../compiler/errors.js';
import { parseJson } from '../protocol/json.js';
import { refusal } from '../protocol/refuse.js';
import { modelOf } from './model-of.js';
import { route, type Service } from './routes.js';
import { sendJson } from './send.js';

/** The model repository extension: its index, and loading and unloading where that is switched on. */
export function addRepositoryRoutes(app: FastifyInstance, service: Service): void {
  const { repository } = service;
  route(
    app,
    'POST',
    '/v2/repository/index',
    async (request, reply) => {
      const { ready } = objectIn(request);
      const index = await repository.index();
      return sendJson(reply, ready === true ? index.filter(({ state }) => state === 'READY') : index);
    },
    { operation: 'repositoryIndex' },
  );
  route(
    app,
    'POST',
    '/v2/repository/models/:model/load',
    async (request, reply) => {
      refuseUnlessExplicit(service);
      const { name } = modelOf(request);
      const parameters = objectIn(request).parameters ?? {};
      // Files that come with a request are how others were made to write where they should not (CVE-2023-31036).
      if (typeof parameters !== 'object' || Object.keys(parameters).length > 0)
        throw new IpgraftError(
          'SERVER_UNSUPPORTED',
          'models are loaded as they lie in the repository: sought no parameters',
        );
      try {
        await repository.load(name);
      } catch (error) {
        if (error instanceof IpgraftError && error.code.startsWith('SERVER_')) throw error;
        request.log.error({ err: error }, 'a model cannot be loaded');
        throw refusal(`failed to load “${name}”; the server's log says why: request ${request.id}`);
      }
      return sendJson(reply, {});
    },
    { access: 'admin', operation: 'loadModel' },
  );
  route(
    app,
    'POST',
    '/v2/repository/models/:model/unload',
    async (request, reply) => {
      refuseUnlessExplicit(service);
      const { name } = modelOf(request);
      await repository.unload(name, isWithDependents(request));
      return sendJson(reply, {});
    },
    { access: 'admin', operation: 'unloadModel' },
  );
}

function isWithDependents(request: FastifyRequest): boolean {
  const { parameters } = objectIn(request);
  return (
    (parameters as { readonly unload_dependents?: unknown } | null | undefined)?.unload_dependents === true
  );
}

function refuseUnlessExplicit({ modelControl }: Service): void {
  if (modelControl !== 'explicit')
    throw new IpgraftError(
      'SERVER_FORBIDDEN',
      'models are loaded and unloaded by requests only where the server was started with --model-control explicit',
    );
}

/** The JSON object of a body; of an empty one, an empty object. @throws IpgraftError `SERVER_REQUEST` */
function objectIn({ body }: FastifyRequest): Readonly<Record<string, unknown>> {
  if (!(body instanceof Buffer) || body.length === 0) return {};
  const value = parseJson(body);
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw refusal('the request: sought an object');
}
