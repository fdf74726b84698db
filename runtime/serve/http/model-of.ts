import type { FastifyRequest } from 'fastify';
import { quoted, refusal } from '../protocol/refuse.js';
import { isModelName } from '../repository/model-files.js';

/**
 * The model that a request's path names, and its version where it names one. The name is checked after decoding: `%2F` and `%00` are
 * characters of it by then.
 * @throws IpgraftError `SERVER_REQUEST`
 */
export function modelOf(request: FastifyRequest): { readonly name: string; readonly version?: string } {
  const { model = '', version } = request.params as { readonly model?: string; readonly version?: string };
  if (!isModelName(model))
    throw refusal(
      `${quoted(model)} is no model's name: sought letters, digits, '_', '.' and '-', 128 at most`,
    );
  if (version === undefined) return { name: model };
  if (/^\d{1,18}$/.test(version)) return { name: model, version };
  throw refusal(`${quoted(version)} is no version: sought digits`);
}
