import type { ServerDuplexStream } from '@grpc/grpc-js';
import { IpgraftError } from '../../../compiler/errors.js';
import { toldOf } from '../error-status.js';
import type { RequestLog } from '../request-log.js';
import type { Service } from '../service.js';
import { infer } from './infer.js';
import type { ModelInferRequest } from './infer-request.js';
import { statusOf } from './status.js';

/** Requests of one stream that have no answer yet; the next one is read when the client has taken one. */
const MOST_AT_ONCE = 8;

/** What a stream is answered from. */
export interface StreamOptions {
  readonly service: Service;
  readonly id: string;
  readonly log: RequestLog;
  /** Aborted when nobody waits for the stream any more. */
  readonly signal: AbortSignal;
  /** Aborted when the server takes no more requests. */
  readonly stopping: AbortSignal;
  /** Reads one request. */
  readonly read: (bytes: Buffer) => object;
  /** Refuses a request whose client asks too often. */
  readonly admit: () => void;
}

/**
 * Answers ModelStreamInfer: to each request one ModelStreamInferResponse, in their order. A request that fails is answered with its error, and the
 * stream goes on.
 */
export function streamInfer(call: ServerDuplexStream<Buffer, object>, options: StreamOptions): void {
  const { stopping, signal, id } = options;
  let last = Promise.resolve();
  let running = 0;
  const stop = async () => {
    call.pause();
    await last;
    const stopped = new IpgraftError('SERVER_MODEL_NOT_READY', 'the server is stopping');
    if (!signal.aborted && !call.readableEnded) call.emit('error', statusOf(stopped, id));
  };
  call.on('data', (bytes: Buffer) => {
    if (++running >= MOST_AT_ONCE) call.pause();
    const answer = answerTo(bytes, options);
    last = last.then(async () => {
      const made = await answer;
      if (!signal.aborted) await taken(call, made, signal);
      running--;
      if (!stopping.aborted) call.resume();
    });
  });
  call.once('end', async () => {
    await last;
    if (!signal.aborted) call.end();
  });
  stopping.addEventListener('abort', stop, { once: true });
  signal.addEventListener('abort', () => stopping.removeEventListener('abort', stop), { once: true });
}

/** Sends an answer, and resolves when the client has taken it or the stream is over. */
function taken(call: ServerDuplexStream<Buffer, object>, answer: object, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done);
    call.write(answer, done);
  });
}

/** The answer to one request, whatever becomes of it. */
async function answerTo(bytes: Buffer, options: StreamOptions): Promise<object> {
  const { service, id, log, signal, read, admit } = options;
  let asked: string | undefined;
  try {
    const request = read(bytes) as ModelInferRequest;
    asked = request.id;
    admit();
    return { infer_response: await infer(request, { id, signal, onRejected: () => {} }, service) };
  } catch (error) {
    const { status, text } = toldOf(error, id);
    if (status.http >= 500) log.error({ err: error }, 'failed');
    return { error_message: text, infer_response: { id: asked || id } };
  }
}
