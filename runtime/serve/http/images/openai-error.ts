import { IpgraftError } from '../../../../compiler/errors.js';
import type { Answer } from '../status.js';

/** The kinds of errors that OpenAI's API has, by status; others are the server's. */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  429: 'rate_limit_error',
};

/** An error as OpenAI's API answers it. `param`: the field that is at fault. `code`: of ipgraft's own catalogue. */
export function openAiError({ status, text }: Answer, error?: unknown) {
  const { code = null, facts = {} } = error instanceof IpgraftError ? error : {};
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
  // Images are called by their fields.
  const { field = facts.file } = facts;
  return { error: { message: text, type, param: typeof field === 'string' ? field : null, code } };
}
