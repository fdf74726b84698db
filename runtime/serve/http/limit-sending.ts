import type { FastifyInstance } from 'fastify';

/**
 * Closes connections whose clients have not taken an answer whole within so many milliseconds: what they do not take would stay in memory for as
 * long as they like.
 */
export function limitSending(app: FastifyInstance, milliseconds: number): void {
  app.addHook('onSend', async (_, reply) => {
    // Behind the answer to an earlier request of its connection it has no socket yet, and its time begins anew.
    const timer = setInterval(() => {
      if (reply.raw.socket === null) return;
      reply.log.info('the client does not take its answer');
      reply.raw.socket.destroy();
    }, milliseconds);
    timer.unref();
    reply.raw.once('close', () => clearInterval(timer));
  });
}
