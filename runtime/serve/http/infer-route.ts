import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type InferReply, writeInferReply } from '../protocol/infer-reply.js';
import { type InferRequest, parseInferRequest } from '../protocol/infer-request.js';
import type { LoadedModel } from '../repository/loaded-model.js';
import { failureReason } from '../statistics.js';
import type { Tensor } from '../tensor.js';
import { chooseEncoding, compress } from './compression.js';
import { modelOf } from './model-of.js';
import { modelPaths, route, type Service } from './routes.js';

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
      const written = await infer(loaded, wanted, request, reply, service.timeout);
      return send(reply, written, chooseEncoding(request.headers['accept-encoding']));
    },
    { operation: 'infer' },
  );
}

async function infer(
  { name, version, model, statistics }: LoadedModel,
  { id, inputs, outputs, timeout }: InferRequest,
  request: FastifyRequest,
  reply: FastifyReply,
  longest: number,
): Promise<InferReply> {
  const began = process.hrtime.bigint();
  const elapsed = () => Number(process.hrtime.bigint() - began);
  try {
    const { outputs: tensors, times } = await model.infer(inputs, {
      outputs: outputs.map((output) => output.name),
      signal: goneSignal(reply),
      timeout: Math.min(timeout ?? longest, longest),
    });
    const ordered = outputs.map((output) => tensors.find((each) => each.name === output.name) as Tensor);
    const written = writeInferReply({ model: name, version, id: id ?? request.id }, outputs, ordered);
    statistics.succeeded(times, elapsed());
    return written;
  } catch (error) {
    statistics.failed(failureReason(error), elapsed());
    if (failureReason(error) === 'REJECTED')
      reply.header('retry-after', Math.min(60, Math.max(1, Math.ceil(statistics.meanSeconds))));
    throw error;
  }
}

/** Aborted when the client goes away before it has its answer. */
function goneSignal(reply: FastifyReply): AbortSignal {
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
