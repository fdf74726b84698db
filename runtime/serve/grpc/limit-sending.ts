import { constants, type ServerHttp2Stream } from 'node:http2';
import { type Responder, ServerInterceptingCall, type ServerInterceptingCallInterface } from '@grpc/grpc-js';

/** A call whose client must take each answer whole within some time: what it does not take would stay in memory for as long as it likes. */
export class LimitedCall extends ServerInterceptingCall {
  private readonly milliseconds: number;
  private readonly onLate: () => void;
  private timer: NodeJS.Timeout | undefined;

  /** @param onLate is to {@link cut} the call */
  constructor(
    call: ServerInterceptingCallInterface,
    responder: Responder,
    milliseconds: number,
    onLate: () => void,
  ) {
    super(call, responder);
    this.milliseconds = milliseconds;
    this.onLate = onLate;
  }

  /** Answers of a stream come one by one: the next one when the last has been taken. */
  override sendMessage(message: unknown, callback: () => void): void {
    this.timer = setTimeout(this.onLate, this.milliseconds).unref();
    super.sendMessage(message, () => {
      clearTimeout(this.timer);
      callback();
    });
  }

  /** To be told that the call is over. */
  end(): void {
    clearTimeout(this.timer);
  }
}

/** Ends a call at once: a status would wait behind what its client does not take. Nothing that grpc-js makes public does so. */
export function cut(call: ServerInterceptingCallInterface): void {
  streamOf(call)?.close(constants.NGHTTP2_CANCEL);
}

/** What a call comes in by, which grpc-js keeps to itself. */
export function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream | undefined {
  return (call as { readonly stream?: ServerHttp2Stream }).stream;
}
