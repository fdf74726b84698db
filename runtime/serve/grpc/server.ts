import { promisify } from 'node:util';
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { admitClient, type ClientAdmission } from '../access.js';
import { cannotListen } from '../cannot-listen.js';
import { toldOf } from '../error-status.js';
import type { Service } from '../service.js';
import { ANSWERS, type Answered } from './answers.js';
import { callerOf, guardCalls, type MethodAccess, requestIdOf } from './call-guard.js';
import type { CallLog } from './call-log.js';
import { type Ending, healthHandlers } from './health.js';
import { streamInfer } from './infer-stream.js';
import { HEALTH, INFERENCE, type Method, methodsOf } from './messages.js';
import { statusOf } from './status.js';

/** How the gRPC server is to be. */
export interface GrpcOptions {
  readonly admission: ClientAdmission;
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** Largest request, as it comes and decompressed. Bytes. */
  readonly maxBody: number;
  readonly log: CallLog;
  /** Milliseconds in which a request must have come in whole. */
  readonly requestTimeout: number;
  /** Milliseconds in which a client must have taken an answer whole. */
  readonly answerTimeout: number;
  readonly ping?: Pings;
}

/** How it is found out that a client has gone though its connection stands. Milliseconds. */
export interface Pings {
  /** Between one's answer and the next. */
  readonly every: number;
  /** A client that has not answered one by then has gone. */
  readonly timeout: number;
}

/** A gRPC server that answers. */
export interface GrpcServer {
  readonly port: number;
  /** Tells whoever watches that no more requests should come. */
  announce(): void;
  /** Takes no more requests; resolves when those that run have ended. */
  close(): Promise<void>;
  /** Ends what is left. */
  end(): void;
}

const PINGS: Pings = { every: 60_000, timeout: 20_000 };

/** Calls of one connection at the same time; more wait at the client. */
const MOST_CALLS = 256;

/**
 * Serves the Open Inference Protocol over gRPC, without TLS, beside its health service.
 * @throws IpgraftError `SERVER_LISTEN`
 */
export async function startGrpcServer(service: Service, options: GrpcOptions): Promise<GrpcServer> {
  const { admission, host, port, maxBody, log, requestTimeout, answerTimeout, ping = PINGS } = options;
  const announced = new AbortController();
  const stopping = new AbortController();
  const ending: Ending = { announced: announced.signal, stopping: stopping.signal };
  const server = new Server({
    'grpc.max_receive_message_length': maxBody,
    'grpc.max_send_message_length': -1,
    'grpc.keepalive_time_ms': ping.every,
    'grpc.keepalive_timeout_ms': ping.timeout,
    'grpc.max_concurrent_streams': MOST_CALLS,
    // Without it forceShutdown finds no connections.
    'grpc.enable_channelz': 1,
    interceptors: [guardCalls({ admission, accessOf, log, requestTimeout, answerTimeout })],
  });
  const inference = methodsOf(INFERENCE);
  const health = methodsOf(HEALTH);
  server.addService(inference, {
    ...Object.fromEntries(
      Object.entries(ANSWERS).map(([name, answered]) => [
        name,
        unary(inference[name]!, answered, service, log),
      ]),
    ),
    ModelStreamInfer: streamHandler(inference.ModelStreamInfer!, service, options, ending),
  });
  server.addService(health, healthHandlers(health, ending));
  const bind = promisify(server.bindAsync.bind(server));
  const address = host.includes(':') ? `[${host}]` : host;
  const taken = await bind(`${address}:${port}`, ServerCredentials.createInsecure()).catch((cause) => {
    throw cannotListen(host, port, cause);
  });
  return {
    port: taken,
    announce: () => announced.abort(),
    async close() {
      stopping.abort();
      await promisify(server.tryShutdown.bind(server))();
    },
    end: () => server.forceShutdown(),
  };
}

/** Health is open to all; of the methods of inference each says for itself, and its stream is as its other. */
function accessOf(path: string): MethodAccess {
  const [, service, method] = path.split('/');
  if (service === HEALTH) return { access: 'open', quiet: true };
  return ANSWERS[method!] ?? { access: 'token' };
}

function unary(
  { read }: Method,
  { answer }: Answered,
  service: Service,
  log: CallLog,
): UntypedServiceImplementation[string] {
  return async (call: ServerUnaryCall<Buffer, object>, callback: sendUnaryData<object>) => {
    const id = requestIdOf(call.metadata);
    const own = log.child({ reqId: id });
    let retryAfter: number | undefined;
    const onRejected = (seconds: number) => {
      retryAfter = seconds;
    };
    try {
      const signal = cancelled(call);
      const made = await answer(read(call.request), service, { id, log: own, signal, onRejected });
      callback(null, made);
    } catch (error) {
      if (toldOf(error, id).status.http >= 500) own.error({ err: error }, 'failed');
      callback(statusOf(error, id, retryAfter));
    }
  };
}

function streamHandler(
  { read }: Method,
  service: Service,
  { admission, log }: GrpcOptions,
  { stopping }: Ending,
): UntypedServiceImplementation[string] {
  return (call: ServerDuplexStream<Buffer, object>) => {
    const id = requestIdOf(call.metadata);
    const caller = callerOf(call.metadata, call.getPeer());
    streamInfer(call, {
      service,
      id,
      log: log.child({ reqId: id }),
      signal: cancelled(call),
      stopping,
      read,
      admit: () => admitClient({ ...caller, access: 'token', isCounted: true }, admission),
    });
  };
}

/** Aborted when a call has ended: by its client, by its deadline, or with its answer. */
function cancelled(call: ServerUnaryCall<Buffer, object> | ServerDuplexStream<Buffer, object>): AbortSignal {
  const ended = new AbortController();
  if (call.cancelled) ended.abort();
  call.once('cancelled', () => ended.abort());
  return ended.signal;
}
