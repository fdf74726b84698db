import type { FastifyReply } from 'fastify';
import { encodePicture } from '../../pictures/encode-picture.js';
import { sizeText } from '../../pictures/size-text.js';
import { sendJson } from '../send.js';
import type { AnswerFields, Asked } from './asked.js';
import { notePictures } from './note-pictures.js';

/** Answers with all pictures at once, as OpenAI's `images.generate`. */
export async function answerPictures({ fields, order, pipeline, signal }: Asked, reply: FastifyReply) {
  const painted = await pipeline.paint(order, { signal });
  notePictures(reply.log, pipeline, painted);
  const format = formatOf(fields);
  const data = await Promise.all(
    painted.pictures.map(async ({ image, seed, parameters }, index) => ({
      b64_json: await encodePicture(image, format, parameters),
      seed,
      index,
    })),
  );
  const { size, scheduler, steps, seconds, warnings } = painted;
  return sendJson(reply, {
    created: now(),
    data,
    size: sizeText(size),
    output_format: format.format,
    scheduler,
    steps,
    seconds,
    warnings,
  });
}

/** How a request wants its pictures. */
export function formatOf({ output_format: format, output_compression: quality }: AnswerFields) {
  return { format: format ?? 'png', quality: quality ?? 100 } as const;
}

/** Since 1970. Seconds. */
export function now(): number {
  return Math.floor(Date.now() / 1000);
}
