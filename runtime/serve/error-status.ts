import { type ErrorCode, IpgraftError } from '../../compiler/errors.js';

/** What the protocols call an error. */
export interface ErrorStatus {
  /** HTTP's status. */
  readonly http: number;
  /** gRPC's name of its code. */
  readonly grpc:
    | 'CANCELLED'
    | 'DEADLINE_EXCEEDED'
    | 'INTERNAL'
    | 'INVALID_ARGUMENT'
    | 'NOT_FOUND'
    | 'PERMISSION_DENIED'
    | 'RESOURCE_EXHAUSTED'
    | 'UNAUTHENTICATED'
    | 'UNAVAILABLE'
    | 'UNIMPLEMENTED';
}

/** Of the errors that an answer may name as they are. */
const STATUS: Partial<Record<ErrorCode, ErrorStatus>> = {
  SERVER_REQUEST: { http: 400, grpc: 'INVALID_ARGUMENT' },
  SERVER_INPUT: { http: 400, grpc: 'INVALID_ARGUMENT' },
  SERVER_CONFIG: { http: 400, grpc: 'INVALID_ARGUMENT' },
  PIPELINE_REQUEST: { http: 400, grpc: 'INVALID_ARGUMENT' },
  PIPELINE_IMAGE: { http: 400, grpc: 'INVALID_ARGUMENT' },
  PIPELINE_IMAGE_PROMPT: { http: 400, grpc: 'INVALID_ARGUMENT' },
  // Of the settings that a request asks for: those of the folder were read when it was loaded.
  OPTION_SCHEDULER: { http: 400, grpc: 'INVALID_ARGUMENT' },
  SERVER_UNAUTHORIZED: { http: 401, grpc: 'UNAUTHENTICATED' },
  SERVER_FORBIDDEN: { http: 403, grpc: 'PERMISSION_DENIED' },
  SERVER_ORIGIN: { http: 403, grpc: 'PERMISSION_DENIED' },
  SERVER_MODEL_UNKNOWN: { http: 404, grpc: 'NOT_FOUND' },
  SERVER_TOO_LARGE: { http: 413, grpc: 'RESOURCE_EXHAUSTED' },
  SERVER_ENCODING: { http: 415, grpc: 'UNIMPLEMENTED' },
  SERVER_RATE_LIMIT: { http: 429, grpc: 'RESOURCE_EXHAUSTED' },
  SERVER_UNSUPPORTED: { http: 501, grpc: 'UNIMPLEMENTED' },
  SERVER_BUSY: { http: 503, grpc: 'UNAVAILABLE' },
  // Whoever reads this over HTTP has not gone away: the model was closed.
  SERVER_CANCELLED: { http: 503, grpc: 'CANCELLED' },
  SERVER_MODEL_NOT_READY: { http: 503, grpc: 'UNAVAILABLE' },
  SERVER_TIMEOUT: { http: 504, grpc: 'DEADLINE_EXCEEDED' },
  // The model can do it, this server does not: nothing that a client did wrong.
  SERVER_ANSWER_TOO_LARGE: { http: 500, grpc: 'INTERNAL' },
};

const FAILED: ErrorStatus = { http: 500, grpc: 'INTERNAL' };

/** What a client is told of an error. */
export interface Told {
  readonly status: ErrorStatus;
  readonly text: string;
}

/**
 * What a client is told of an error: its message where that was written for clients. Other messages, ONNX Runtime's among them, may hold paths of
 * this machine: those are in the log, under the request's id.
 */
export function toldOf(error: unknown, requestId: string): Told {
  if (error instanceof IpgraftError) {
    const status = STATUS[error.code];
    if (status !== undefined) return { status, text: error.message };
    if (error.code === 'SERVER_WORKER_LOST')
      return {
        status: FAILED,
        text: 'the process that ran the model ended before it had answered: ask again',
      };
    if (error.code === 'RUNTIME_RUN')
      return {
        status: FAILED,
        text: `the model does not run on these inputs; the server's log says why: request ${requestId}`,
      };
  }
  return { status: FAILED, text: `internal error; the server's log says more: request ${requestId}` };
}
