import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ImageFiles } from '../../pictures/generation-request.js';
import { readGenerationRequest, readOrder } from '../../pictures/read-order.js';
import { parseJson } from '../../protocol/json.js';
import { checkReady, type Service } from '../../service.js';
import { goneSignal } from '../gone-signal.js';
import { route } from '../routes.js';
import { sendJson } from '../send.js';
import { answerPictures } from './answer-pictures.js';
import type { Asked } from './asked.js';
import { streamPictures } from './stream-pictures.js';

/** Pictures, as OpenAI's API has them. */
export function addImageRoutes(app: FastifyInstance, service: Service): void {
  const { pictures } = service;
  route(app, 'GET', '/v1/models', (_, reply) => sendJson(reply, pictures.list), {
    dialect: 'openai',
    operation: 'pipelines',
  });
  route(
    app,
    'POST',
    '/v1/images/generations',
    async (request, reply) => {
      checkReady(service);
      const asked = await read(request, reply);
      return asked.fields.stream ? streamPictures(asked, reply) : answerPictures(asked, reply);
    },
    { dialect: 'openai', operation: 'generatePictures' },
  );

  async function read(request: FastifyRequest, reply: FastifyReply): Promise<Asked> {
    const { value, files } = bodyOf(request);
    const fields = readGenerationRequest(value);
    const pipeline = pictures.find(fields.model ?? undefined);
    // Before images are looked at: who is refused anyway is to cost nothing.
    pipeline.refuseFull();
    const signal = goneSignal(reply);
    const order = await readOrder(fields, files, pipeline.pipeline, pictures.limits);
    return { fields, order, pipeline, signal };
  }
}

function bodyOf({ body }: FastifyRequest): { readonly value: unknown; readonly files: ImageFiles } {
  const bytes = body instanceof Buffer ? body : Buffer.alloc(0);
  return { value: parseJson(bytes, 'the body is no JSON'), files: { image_prompts: [] } };
}
