import type { FastifyReply } from 'fastify';
import type { PicturePlan } from '../../../pipeline/generate.js';
import { encodePicture, encodePreview, enlarge } from '../../pictures/encode-picture.js';
import type { Painted, PaintedStep } from '../../pictures/served-pipeline.js';
import { sizeText } from '../../pictures/size-text.js';
import { answerTo } from '../status.js';
import { formatOf, now } from './answer-pictures.js';
import type { Asked } from './asked.js';
import { eventStream } from './event-stream.js';
import { notePictures } from './note-pictures.js';
import { openAiError } from './openai-error.js';

/** Events' names begin with it, as OpenAI's do. */
const OF = 'image_generation';

/**
 * Answers with events while the pictures are made: OpenAI's `partial_image` and `completed`, and of our own `queued`, `started` and `step`. An
 * error ends the stream.
 */
export function streamPictures(asked: Asked, reply: FastifyReply): FastifyReply {
  const { fields, order, pipeline, signal } = asked;
  const { send, end } = eventStream(reply);
  const format = formatOf(fields);
  /** What OpenAI's events say of a picture. Its quality has no meaning here, and no picture is transparent. */
  const about = (size: PicturePlan['size']) => ({
    size: sizeText(size),
    output_format: format.format,
    background: 'opaque',
    quality: 'auto',
    created_at: now(),
  });
  let plan: PicturePlan | undefined;
  const onPlan = (decided: PicturePlan) => {
    plan = decided;
    const { steps, size, scheduler, seeds } = decided;
    send({ type: `${OF}.started`, steps, size: sizeText(size), scheduler, seeds });
  };
  const onStep = async ({ index, count, seconds, previews }: PaintedStep) => {
    const number = partialAt(index, count, fields.partial_images ?? 0);
    const small = fields.previews || number !== undefined ? previews() : [];
    const rough = fields.previews ? await Promise.all(small.map(encodePreview)) : undefined;
    send({ type: `${OF}.step`, step: index + 1, steps: count, seconds, ...(rough && { previews: rough }) });
    if (number === undefined) return;
    const { size } = plan!;
    for (const [at, each] of small.entries()) {
      const b64 = await encodePicture(await enlarge(each, size), format, '');
      send({
        type: `${OF}.partial_image`,
        b64_json: b64,
        partial_image_index: number,
        index: at,
        ...about(size),
      });
    }
  };
  const complete = async ({ pictures, size, scheduler, steps, seconds, warnings }: Painted) => {
    for (const [index, { image, seed, parameters }] of pictures.entries()) {
      const b64 = await encodePicture(image, format, parameters);
      const made = { seed, index, steps, scheduler, seconds, warnings };
      send({ type: `${OF}.completed`, b64_json: b64, ...about(size), ...made });
    }
  };
  const onPosition = (position: number) => send({ type: `${OF}.queued`, position });
  void pipeline
    .paint(order, { signal, onPosition, onPlan, onStep })
    .then(async (painted) => {
      notePictures(reply.log, pipeline, painted);
      await complete(painted);
    })
    .catch((error) => {
      const answer = answerTo(error, reply.request.id);
      if (answer.status >= 500 && !signal.aborted) reply.log.error({ err: error }, 'failed');
      send({ type: 'error', ...openAiError(answer, error) });
    })
    .finally(end);
  return reply;
}

/** Which one of so many previews is due after a step, if one is: they divide the steps evenly. */
function partialAt(index: number, steps: number, count: number): number | undefined {
  const due = (number: number) => Math.floor(((number + 1) * steps) / (count + 1)) - 1;
  return Array.from({ length: count }, (_, i) => i).find((i) => due(i) === index);
}
