import type { FastifyReply } from 'fastify';

/** Answers with JSON. As bytes: to text Fastify adds a charset, and KServe's client knows `application/json` alone. */
export function sendJson(reply: FastifyReply, value: unknown, status = 200): FastifyReply {
  return reply
    .code(status)
    .header('content-type', 'application/json')
    .send(Buffer.from(JSON.stringify(value)));
}
