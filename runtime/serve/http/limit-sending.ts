import type { FastifyInstance } from 'fastify';

/**
 * Closes connections whose clients have not taken an answer whole within so many milliseconds, or of a stream of events nothing of what waits for
 * them: what they do not take would stay in memory for as long as they like.
 */
export function limitSending(app: FastifyInstance, milliseconds: number): void {
  app.addHook('onSend', async (_, reply) => {
    const { socket } = reply.request.raw;
    // Who has gone already closes nothing any more.
    if (socket.destroyed) return;
    const isStream = reply.getHeader('content-type') === 'text/event-stream';
    let taken = 0;
    const timer = setInterval(() => {
      const before = taken;
      taken = socket.bytesWritten - socket.writableLength;
      if (isStream && (reply.raw.writableLength === 0 || taken > before)) return;
      // Behind the answer to an earlier request of its connection: its time begins anew.
      if (!socket.destroyed && reply.raw.socket === null) return;
      clearInterval(timer);
      if (socket.destroyed) return;
      reply.log.info('the client does not take its answer');
      socket.destroy();
    }, milliseconds);
    timer.unref();
    reply.raw.once('close', () => clearInterval(timer));
  });
}
