import { IpgraftError } from '../../../compiler/errors.js';
import { toldOf } from '../error-status.js';

/** What a client is told of an error. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** What a client is told of an error over HTTP: as {@link toldOf} has it, and Fastify's own. */
export function answerTo(error: unknown, requestId: string): Answer {
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  if (!(error instanceof IpgraftError)) {
    // A body cut off, a path that is none.
    if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
      return { status: 413, text: 'the body exceeds the maximum allowed' };
    if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
      return { status: statusCode, text: (error as Error).message };
  }
  const { status, text } = toldOf(error, requestId);
  return { status: status.http, text };
}
