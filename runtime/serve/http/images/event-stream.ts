import { PassThrough } from 'node:stream';
import type { FastifyReply } from 'fastify';

/** Milliseconds after which something is sent, so that nobody in between takes the connection for dead. */
const QUIET = 15_000;

/** Events that go to one client as they happen (`text/event-stream`). */
export interface EventStream {
  /** Sends an event, called by its `type`. */
  send(event: { readonly type: string; readonly [field: string]: unknown }): void;
  end(): void;
}

/** Answers with a stream of events. Nothing that is sent is waited for: `limitSending` closes connections of clients that take nothing. */
export function eventStream(reply: FastifyReply): EventStream {
  const body = new PassThrough();
  // Fastify destroys it when the client goes, and what is written after that goes nowhere.
  body.on('error', () => {});
  const write = (text: string) => {
    if (!body.destroyed && !body.writableEnded) body.write(text);
  };
  const beat = setInterval(() => write(':\n\n'), QUIET);
  body.once('close', () => clearInterval(beat));
  void reply
    .headers({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // Nginx would keep events back until there are more of them.
      'x-accel-buffering': 'no',
      connection: 'close',
    })
    .send(body);
  write(':\n\n');
  return {
    send: ({ type, ...fields }) => write(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`),
    end() {
      clearInterval(beat);
      body.end();
    },
  };
}
