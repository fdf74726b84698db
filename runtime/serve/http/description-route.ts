import type { FastifyInstance } from 'fastify';
import type { Service } from '../service.js';
import type { Admission } from './admission.js';
import { openapiDocument } from './openapi/document.js';
import { type Route, route } from './routes.js';
import { sendJson } from './send.js';

/** The OpenAPI document of what is served now: it names models, and so needs the token. */
export function addDescriptionRoute(
  app: FastifyInstance,
  { repository }: Service,
  { token, adminToken, rateLimit }: Admission,
  routes: readonly Route[],
): void {
  route(
    app,
    'GET',
    '/openapi.json',
    async (_, reply) => {
      const document = openapiDocument({
        routes,
        index: await repository.index(),
        loaded: repository.ready,
        isLimited: rateLimit !== undefined,
        ...(token !== undefined && { token }),
        ...(adminToken !== undefined && { adminToken }),
      });
      return sendJson(reply, document);
    },
    { operation: 'description' },
  );
}
