import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { readGenerationRequest, readOrder } from '../../pictures/read-order.js';
import { parseJson } from '../../protocol/json.js';
import { checkReady, type Service } from '../../service.js';
import { goneSignal } from '../gone-signal.js';
import { route } from '../routes.js';
import { sendJson } from '../send.js';
import { answerPictures } from './answer-pictures.js';
import type { Asked } from './asked.js';
import { type Form, readForm, takeForms } from './multipart.js';
import { streamPictures } from './stream-pictures.js';

/** Pictures, as OpenAI's API has them. */
export async function addImageRoutes(app: FastifyInstance, service: Service, maxBody: number): Promise<void> {
  const { pictures } = service;
  route(app, 'GET', '/v1/models', (_, reply) => sendJson(reply, pictures.list), {
    dialect: 'openai',
    operation: 'pipelines',
  });
  // In a scope of their own: elsewhere bodies are bytes, whatever they are called.
  await app.register(async (scope) => {
    if (pictures.pipelines.length > 0) await takeForms(scope);
    addGenerations(scope);
  });

  function addGenerations(scope: FastifyInstance) {
    route(
      scope,
      'POST',
      '/v1/images/generations',
      async (request, reply) => {
        checkReady(service);
        const asked = await read(request, reply);
        return asked.fields.stream ? streamPictures(asked, reply) : answerPictures(asked, reply);
      },
      { dialect: 'openai', operation: 'generatePictures' },
    );
  }

  async function read(request: FastifyRequest, reply: FastifyReply): Promise<Asked> {
    const { value, files } = request.isMultipart?.() ? await readForm(request, maxBody) : bodyOf(request);
    // It would be kept as long as the request.
    request.body = undefined;
    const all = readGenerationRequest(value);
    const pipeline = pictures.find(all.model ?? undefined);
    // Before images are looked at: who is refused anyway is to cost nothing.
    pipeline.refuseFull();
    const signal = goneSignal(reply);
    const order = await readOrder(all, files, pipeline.pipeline, pictures.limits).catch((error) => {
      pipeline.statistics.requests.rejected++;
      throw error;
    });
    const { output_format, output_compression, stream, partial_images, previews } = all;
    const fields = { output_format, output_compression, stream, partial_images, previews };
    return { fields, order, pipeline, signal };
  }
}

function bodyOf({ body }: FastifyRequest): Form {
  const bytes = body instanceof Buffer ? body : Buffer.alloc(0);
  return { value: parseJson(bytes, 'the body is no JSON'), files: { image_prompts: [] } };
}
