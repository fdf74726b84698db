import { type ErrorCode, IpgraftError } from '../../../compiler/errors.js';

/** HTTP's word for an error that an answer may name as it is. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  SERVER_REQUEST: 400,
  SERVER_INPUT: 400,
  SERVER_CONFIG: 400,
  SERVER_UNAUTHORIZED: 401,
  SERVER_FORBIDDEN: 403,
  SERVER_ORIGIN: 403,
  SERVER_MODEL_UNKNOWN: 404,
  SERVER_TOO_LARGE: 413,
  SERVER_ENCODING: 415,
  SERVER_RATE_LIMIT: 429,
  SERVER_UNSUPPORTED: 501,
  SERVER_BUSY: 503,
  // Whoever reads this has not gone away: the model was closed.
  SERVER_CANCELLED: 503,
  SERVER_MODEL_NOT_READY: 503,
  SERVER_TIMEOUT: 504,
  // The model can do it, this server does not: nothing that a client did wrong.
  SERVER_ANSWER_TOO_LARGE: 500,
};

/** What a client is told of an error. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * What a client is told of an error: its message where that was written for clients. Other messages, ONNX Runtime's among them, may hold paths of
 * this machine: those are in the log, under the request's id.
 */
export function answerTo(error: unknown, requestId: string): Answer {
  if (error instanceof IpgraftError) {
    const status = STATUS[error.code];
    if (status !== undefined) return { status, text: error.message };
    if (error.code === 'SERVER_WORKER_LOST')
      return { status: 500, text: 'the process that ran the model ended before it had answered: ask again' };
    if (error.code === 'RUNTIME_RUN')
      return {
        status: 500,
        text: `the model does not run on these inputs; the server's log says why: request ${requestId}`,
      };
  }
  // Fastify's own: a body cut off, a path that is none.
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return { status: 413, text: 'the body exceeds the maximum allowed' };
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return { status: statusCode, text: (error as Error).message };
  return { status: 500, text: `internal error; the server's log says more: request ${requestId}` };
}
