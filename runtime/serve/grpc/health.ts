import {
  status as CODES,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { IpgraftError } from '../../../compiler/errors.js';
import { quoted } from '../protocol/refuse.js';
import { requestIdOf } from './call-guard.js';
import { INFERENCE, type Method } from './messages.js';
import { statusOf } from './status.js';

/** How the server ends. */
export interface Ending {
  /** Aborted when no more requests should come. */
  readonly announced: AbortSignal;
  /** Aborted when no more are taken. */
  readonly stopping: AbortSignal;
}

/**
 * gRPC's health checking: of the server, by the name '', and of its inference service. Who watches is told when no more requests should come, and
 * let go when none are taken.
 */
export function healthHandlers(
  methods: Readonly<Record<string, Method>>,
  { announced, stopping }: Ending,
): UntypedServiceImplementation {
  const status = () => (announced.aborted ? 'NOT_SERVING' : 'SERVING');
  const serviceOf = (method: string, bytes: Buffer) =>
    (methods[method]!.read(bytes) as { readonly service: string }).service;
  return {
    Check(call: ServerUnaryCall<Buffer, object>, callback: sendUnaryData<object>) {
      try {
        const service = serviceOf('Check', call.request);
        if (isKnown(service)) return callback(null, { status: status() });
        const details = `there is no service ${quoted(service)}`;
        callback({ code: CODES.NOT_FOUND, details });
      } catch (error) {
        callback(statusOf(error, requestIdOf(call.metadata)));
      }
    },
    Watch(call: ServerWritableStream<Buffer, object>) {
      const id = requestIdOf(call.metadata);
      const say = () => call.write({ status: status() });
      const stop = () =>
        call.emit(
          'error',
          statusOf(new IpgraftError('SERVER_MODEL_NOT_READY', 'the server is stopping'), id),
        );
      try {
        if (isKnown(serviceOf('Watch', call.request))) {
          say();
          announced.addEventListener('abort', say);
        } else call.write({ status: 'SERVICE_UNKNOWN' });
      } catch (error) {
        return void call.emit('error', statusOf(error, id));
      }
      stopping.addEventListener('abort', stop);
      call.once('cancelled', () => {
        announced.removeEventListener('abort', say);
        stopping.removeEventListener('abort', stop);
      });
    },
  };
}

function isKnown(service: string): boolean {
  return service === '' || service === INFERENCE;
}
