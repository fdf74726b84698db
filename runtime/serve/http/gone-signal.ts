import type { FastifyReply } from 'fastify';

/** Aborted when the client goes away before it has its answer. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  // While its body was decompressed, perhaps.
  if (reply.request.socket.destroyed) gone.abort();
  reply.raw.once('close', () => {
    if (reply.raw.writableFinished) return;
    reply.log.info('the client has gone');
    gone.abort();
  });
  return gone.signal;
}
