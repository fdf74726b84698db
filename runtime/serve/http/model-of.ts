import type { FastifyRequest } from 'fastify';
import { type NamedModel, namedModel } from '../repository/named-model.js';

/**
 * The model that a request's path names, and its version where it names one. The name is checked after decoding: `%2F` and `%00` are
 * characters of it by then.
 * @throws IpgraftError `SERVER_REQUEST`
 */
export function modelOf(request: FastifyRequest): NamedModel {
  const { model = '', version } = request.params as { readonly model?: string; readonly version?: string };
  return namedModel(model, version);
}
