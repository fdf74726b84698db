import { randomUUID } from 'node:crypto';
import {
  status as CODES,
  type Metadata,
  Metadata as NewMetadata,
  ResponderBuilder,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { type Access, admitClient, type ClientAdmission } from '../access.js';
import type { CallLog } from './call-log.js';
import { limitReceiving } from './limit-receiving.js';
import { cut, LimitedCall, streamOf } from './limit-sending.js';
import { statusOf } from './status.js';

/** Who may call a method. */
export interface MethodAccess {
  readonly access: Access;
  /** Whether it is called so often that its calls are no news, and are not counted. */
  readonly quiet?: boolean;
}

/** How calls are guarded. */
export interface GuardOptions {
  readonly admission: ClientAdmission;
  /** By the path of a method. */
  readonly accessOf: (path: string) => MethodAccess;
  readonly log: CallLog;
  /** Milliseconds in which a request, of a stream each of its requests, must have come in whole. */
  readonly requestTimeout: number;
  /** Milliseconds in which a client must have taken an answer whole. */
  readonly answerTimeout: number;
}

/** The metadata under which a call brings its id, as in HTTP, and its answer trails it. */
export const REQUEST_ID = 'x-request-id';

/** The id of a call that {@link guardCalls} let in. */
export function requestIdOf(metadata: Metadata): string {
  return String(metadata.get(REQUEST_ID)[0]);
}

/** Where a call comes from and with what, for {@link admitClient}. */
export function callerOf(metadata: Metadata, peer: string) {
  const [authorization] = metadata.get('authorization');
  // Behind the address is a port.
  return { authorization: authorization?.toString(), address: peer.replace(/:\d+$/, '') };
}

/**
 * Refuses calls that must not come, before their messages are read; gives each an id, ends those whose request does not come in or whose answer is
 * not taken, and writes a line of the log. The messages of a stream are counted one by one, where they are answered.
 */
export function guardCalls(options: GuardOptions): ServerInterceptor {
  const { admission, accessOf, log, requestTimeout, answerTimeout } = options;
  return ({ path, requestStream }, call) => {
    const began = performance.now();
    const { access, quiet = false } = accessOf(path);
    let id = '';
    let ended: number | undefined;
    let late: NodeJS.Timeout | undefined;
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const given = metadata.get(REQUEST_ID)[0];
        id = typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : randomUUID();
        metadata.set(REQUEST_ID, id);
        try {
          const isCounted = !quiet && !requestStream;
          admitClient({ ...callerOf(metadata, call.getPeer()), access, isCounted }, admission);
        } catch (error) {
          return guarded.sendStatus(statusOf(error, id));
        }
        const onLate = () => {
          const details = `the request did not come in whole within ${requestTimeout / 1000} s`;
          guarded.sendStatus({ code: CODES.DEADLINE_EXCEEDED, details });
        };
        const stream = streamOf(call);
        if (!requestStream) late = setTimeout(onLate, requestTimeout);
        else if (stream !== undefined) limitReceiving(stream, requestTimeout, onLate);
        next(metadata);
      })
      .withOnReceiveHalfClose((next) => {
        clearTimeout(late);
        next();
      })
      .withOnCancel(() => {
        clearTimeout(late);
        guarded.end();
        // gRPC ends calls by itself too.
        const code =
          ended ?? (Number(call.getDeadline()) <= Date.now() ? CODES.DEADLINE_EXCEEDED : CODES.CANCELLED);
        const ms = Math.round((performance.now() - began) * 10) / 10;
        log
          .child({ reqId: id })
          [quiet ? 'debug' : 'info']({ method: path, status: CODES[code], ms }, 'answered');
      })
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendStatus((status, next) => {
        ended = status.code;
        const metadata = status.metadata ?? new NewMetadata();
        metadata.set(REQUEST_ID, id);
        next({ ...status, metadata });
      })
      .build();
    const guarded = new LimitedCall(call, responder, answerTimeout, () => {
      log.child({ reqId: id }).info({}, 'the client does not take its answer');
      cut(call);
    });
    return guarded;
  };
}
