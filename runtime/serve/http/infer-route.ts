import type { FastifyInstance, FastifyReply } from 'fastify';
import { answerInference } from '../answer-inference.js';
import { type InferReply, writeInferReply } from '../protocol/infer-reply.js';
import { parseInferRequest } from '../protocol/infer-request.js';
import type { Service } from '../service.js';
import { chooseEncoding, compress } from './compression.js';
import { goneSignal } from './gone-signal.js';
import { modelOf } from './model-of.js';
import { modelPaths, route } from './routes.js';

/** Inference. */
export function addInferRoute(app: FastifyInstance, service: Service): void {
  route(
    app,
    'POST',
    modelPaths('/infer'),
    async (request, reply) => {
      const { name, version } = modelOf(request);
      const loaded = service.repository.find(name, version);
      const body = request.body instanceof Buffer ? request.body : Buffer.alloc(0);
      const header = request.headers['inference-header-content-length'];
      const wanted = parseInferRequest(body, header?.toString(), loaded.model);
      const { outputs, id = request.id } = wanted;
      const waiting = {
        signal: goneSignal(reply),
        onRejected: (seconds: number) => void reply.header('retry-after', seconds),
      };
      const about = { model: name, version: loaded.version, id };
      const written = await answerInference(loaded, wanted, waiting, service, (tensors) =>
        writeInferReply(about, outputs, tensors),
      );
      return send(reply, written, chooseEncoding(request.headers['accept-encoding']));
    },
    { operation: 'infer' },
  );
}

async function send(
  reply: FastifyReply,
  { body, headerLength }: InferReply,
  encoding: ReturnType<typeof chooseEncoding>,
) {
  reply.header('content-type', headerLength === undefined ? 'application/json' : 'application/octet-stream');
  reply.header('vary', 'accept-encoding');
  // Of the JSON before it is compressed, as in requests.
  if (headerLength !== undefined) reply.header('inference-header-content-length', headerLength);
  if (encoding === undefined) return reply.send(body);
  return reply.header('content-encoding', encoding).send(await compress(body, encoding));
}
