import type { Route } from '../routes.js';
import type { Described } from './described.js';
import { type ErrorStatus, OPERATIONS, type Operation, type OperationName } from './operations.js';
import { type SchemaName, schemaAt } from './schemas.js';

/** What each status says when it is no success. */
const ERRORS: Readonly<Record<ErrorStatus | 401 | 429, string>> = {
  400: 'The request does not fit: the text names what was sought and what was found',
  401: 'No token, or a wrong one',
  403: 'Not allowed: by the token, by the name or the page that the request came from, or to all',
  404: 'There is no such model, or version of it',
  413: 'The body is too large, as it came or decompressed',
  415: 'The body is compressed in another way than gzip and deflate',
  429: 'This client asks too often',
  500: 'The model failed, or the server: its log says why, under the id of the request',
  501: 'Not served',
  503: 'The model is not loaded or was closed meanwhile, its queue is full, or the server is about to end',
  504: 'The time of the request was up',
};

const text = { type: 'string' } as const;
const integer = { type: 'integer', minimum: 0 } as const;

/** Parameters of requests, by name. */
export const PARAMETERS = {
  model: {
    name: 'model',
    in: 'path',
    required: true,
    schema: { ...text, pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$' },
  },
  version: { name: 'version', in: 'path', required: true, schema: { ...text, pattern: '^[0-9]{1,18}$' } },
  region: { name: 'region', in: 'path', required: true, schema: text },
  jsonLength: {
    name: 'Inference-Header-Content-Length',
    in: 'header',
    description:
      'Bytes of JSON before the tensors. Absent: all is JSON. 0: all is the one input of the model.',
    schema: integer,
  },
  contentEncoding: {
    name: 'Content-Encoding',
    in: 'header',
    schema: { ...text, enum: ['gzip', 'deflate', 'identity'] },
  },
  acceptEncoding: {
    name: 'Accept-Encoding',
    in: 'header',
    description: 'The answer comes in gzip or deflate where this asks for it.',
    schema: text,
  },
  requestId: {
    name: 'X-Request-Id',
    in: 'header',
    description: 'A name for the request, in the log and in the answer.',
    schema: { ...text, pattern: '^[A-Za-z0-9_.-]{1,128}$' },
  },
} as const;

/** Headers of answers, by name. */
export const HEADERS = {
  requestId: { description: 'The name of the request in the log', schema: text },
  jsonLength: { description: 'Bytes of JSON before the tensors; absent when all is JSON', schema: integer },
  retryAfter: { description: 'Seconds after which to ask again', schema: integer },
  challenge: { description: 'How to bring the token', schema: { const: 'Bearer' } },
  encodings: { description: 'The compressions that are read', schema: { const: 'gzip, deflate' } },
} as const;

const header = (name: keyof typeof HEADERS) => ({ $ref: `#/components/headers/${name}` });

/** The headers that a status brings beside those of every answer. */
const ERROR_HEADERS: Readonly<Record<string, object>> = {
  401: { 'WWW-Authenticate': header('challenge') },
  415: { 'Accept-Encoding': header('encodings') },
  429: { 'Retry-After': header('retryAfter') },
  503: { 'Retry-After': header('retryAfter') },
  504: { 'Retry-After': header('retryAfter') },
};

/** The answers to what does not go, by form and status. */
export function errorResponses(): object {
  const inForm = (name: string, schema: SchemaName) =>
    Object.entries(ERRORS).map(([status, description]) => [
      `${name}${status}`,
      {
        description,
        headers: { 'X-Request-Id': header('requestId'), ...ERROR_HEADERS[status] },
        content: { 'application/json': { schema: schemaAt(schema) } },
      },
    ]);
  return Object.fromEntries([...inForm('error', 'Error'), ...inForm('openAiError', 'OpenAiError')]);
}

/** The answers of an operation: its own, and those of tokens, limits and names where the server has such. */
export function responsesOf(
  { operation, access = 'token', quiet, dialect }: Route,
  { token, adminToken, isLimited }: Described,
): object {
  const { reply, errors = [] }: Operation = OPERATIONS[operation];
  const asksForToken =
    access !== 'open' && (token !== undefined || (access === 'admin' && adminToken !== undefined));
  const statuses = new Set<number>([
    ...errors,
    403,
    ...(asksForToken ? [401] : []),
    ...(isLimited && !(quiet && !asksForToken) ? [429] : []),
    500,
  ]);
  const form = dialect === 'openai' ? 'openAiError' : 'error';
  const sorted = [...statuses].sort((a, b) => a - b);
  return {
    ...(reply !== undefined && { 200: answer(reply, operation) }),
    ...Object.fromEntries(
      sorted.map((status) => [status, { $ref: `#/components/responses/${form}${status}` }]),
    ),
  };
}

function answer([type, schema]: NonNullable<Operation['reply']>, operation: OperationName): object {
  const isInfer = operation === 'infer';
  return {
    description: 'As asked',
    headers: {
      'X-Request-Id': header('requestId'),
      ...(isInfer && { 'Inference-Header-Content-Length': header('jsonLength') }),
    },
    content: {
      [type]: schema === null ? { schema: { type: 'string' } } : { schema: schemaAt(schema) },
      ...(isInfer && { 'application/octet-stream': {} }),
      ...(operation === 'generatePictures' && { 'text/event-stream': {} }),
    },
  };
}
