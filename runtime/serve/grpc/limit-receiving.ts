import type { Readable } from 'node:stream';

/** Bytes in front of each message of a gRPC stream: whether it is compressed, and its length. */
const PREFIX = 5;

/**
 * Tells when a message has not come in whole within some time of its beginning: what there is of it stays in memory for as long. Between messages,
 * and while the server itself reads nothing, no time passes.
 * @param stream of gRPC's frames, not flowing yet
 * @param onLate is to end the stream
 */
export function limitReceiving(stream: Readable, milliseconds: number, onLate: () => void): void {
  const framing = new Framing();
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  const start = () => {
    if (framing.isInside) timer ??= setTimeout(onLate, milliseconds).unref();
  };
  stream.on('data', (bytes: Uint8Array) => {
    if (framing.take(bytes)) stop();
    if (!stream.isPaused()) start();
  });
  stream.on('pause', stop).on('resume', start).once('close', stop);
}

/** Where messages begin and end in what comes in. */
class Framing {
  /** Of the prefix that was begun last. */
  private seen = 0;
  /** Bytes that the message still lacks, once its prefix is whole. */
  private missing = 0;

  get isInside(): boolean {
    return this.seen > 0;
  }

  /** Goes on behind some bytes; whether a message ended in them. */
  take(bytes: Uint8Array): boolean {
    let hasEnded = false;
    for (let at = 0; at < bytes.length; ) {
      if (this.seen < PREFIX) {
        if (this.seen > 0) this.missing = this.missing * 256 + bytes[at]!;
        this.seen++;
        at++;
      } else {
        const taken = Math.min(this.missing, bytes.length - at);
        this.missing -= taken;
        at += taken;
      }
      if (this.seen === PREFIX && this.missing === 0) {
        this.seen = 0;
        hasEnded = true;
      }
    }
    return hasEnded;
  }
}
