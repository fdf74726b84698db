import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parseJson } from '../protocol/json.js';
import { refusal } from '../protocol/refuse.js';
import { loadByRequest, repositoryIndex, unloadByRequest } from '../repository/repository-requests.js';
import type { Service } from '../service.js';
import { modelOf } from './model-of.js';
import { route } from './routes.js';
import { sendJson } from './send.js';

/** The model repository extension: its index, and loading and unloading where that is switched on. */
export function addRepositoryRoutes(app: FastifyInstance, service: Service): void {
  route(
    app,
    'POST',
    '/v2/repository/index',
    async (request, reply) =>
      sendJson(reply, await repositoryIndex(service, objectIn(request).ready === true)),
    { operation: 'repositoryIndex' },
  );
  route(
    app,
    'POST',
    '/v2/repository/models/:model/load',
    async (request, reply) => {
      const { id, log } = request;
      const { name } = modelOf(request);
      await loadByRequest(service, { name, parameters: Object.keys(parametersIn(request)).length, id, log });
      return sendJson(reply, {});
    },
    { access: 'admin', operation: 'loadModel' },
  );
  route(
    app,
    'POST',
    '/v2/repository/models/:model/unload',
    async (request, reply) => {
      const dependents = parametersIn(request).unload_dependents === true;
      await unloadByRequest(service, modelOf(request).name, dependents);
      return sendJson(reply, {});
    },
    { access: 'admin', operation: 'unloadModel' },
  );
}

function parametersIn(request: FastifyRequest): Readonly<Record<string, unknown>> {
  return asObject(objectIn(request).parameters ?? {}, 'parameters');
}

/** The JSON object of a body; of an empty one, an empty object. @throws IpgraftError `SERVER_REQUEST` */
function objectIn({ body }: FastifyRequest): Readonly<Record<string, unknown>> {
  if (!(body instanceof Buffer) || body.length === 0) return {};
  return asObject(parseJson(body), 'the request');
}

function asObject(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw refusal(`${what}: sought an object`);
}
