import { IpgraftError } from '../../../compiler/errors.js';
import type { Values } from '../../session/session.js';
import type { RunOptions } from '../component-model.js';
import { requiredLastButOne } from '../hidden-states.js';
import { clipPixels } from '../images/clip-preprocess.js';
import type { ImageProjectionFacts, Pipeline } from '../pipeline.js';
import type { AdapterPrompt } from '../request.js';
import { runComponent, stackRows } from '../run-component.js';

/** What an adapter's image projection reads, of the images and of none. */
export interface ImageEmbeds {
  /** [images, E] or [images, N, E]. */
  readonly image: Values;
  readonly negative: Values;
  /** [images, F], where it reads faces too; of none that is zeros. */
  readonly face: Values | null;
}

/**
 * Encodes the images of one adapter as diffusers' `encode_image`: pooled embeddings, whose negative is zeros, or the last but one hidden
 * states, whose negative is what the encoder makes of pixels that are zero after normalising. Embeddings that the caller brings are taken.
 * @throws IpgraftError `PIPELINE_IMAGE_PROMPT` where images cannot be encoded, `PIPELINE_COMPONENT`, `MODEL_FOLDER_COMPONENT`
 */
export async function encodeImages(
  pipeline: Pipeline,
  facts: ImageProjectionFacts,
  { images, embeds }: AdapterPrompt,
  options: RunOptions = {},
): Promise<ImageEmbeds> {
  if (embeds !== undefined) {
    const negative = embeds.negative ?? (await negativeOf(pipeline, facts, embeds.image, options));
    return { image: embeds.image, negative, face: embeds.face ?? null };
  }
  if (facts.reads === null)
    throw new IpgraftError(
      'PIPELINE_IMAGE_PROMPT',
      'sought a face embedding, found an image: the adapter reads nothing of an image encoder',
      {},
      { hint: 'Pass what insightface gives for the face: --image-embeds.' },
    );
  const pixels = await Promise.all(images.map((image) => clipPixels(image, pipeline.imageProcessor)));
  const image = await encoded(pipeline, facts, stackRows(pixels), options);
  return { image, negative: await negativeOf(pipeline, facts, image, options), face: null };
}

async function negativeOf(
  pipeline: Pipeline,
  facts: ImageProjectionFacts,
  image: Values,
  options: RunOptions,
): Promise<Values> {
  if (facts.reads !== 'hidden') return { dims: image.dims, data: new Float32Array(image.data.length) };
  if (!pipeline.models.has(facts.encoder))
    throw new IpgraftError(
      'PIPELINE_IMAGE_PROMPT',
      'sought what the image encoder makes of no image, found neither negative_image_embeds nor an image_encoder',
    );
  const blank = await clipPixels({ width: 1, height: 1, data: new Uint8Array(3) }, pipeline.imageProcessor);
  const zeros = { dims: blank.dims, data: new Float32Array(blank.data.length) };
  const one = await encoded(pipeline, facts, zeros, options);
  return stackRows(Array.from({ length: image.dims[0]! }, () => one));
}

async function encoded(
  pipeline: Pipeline,
  { reads, encoder: name, output: told }: ImageProjectionFacts,
  pixels: Values,
  options: RunOptions,
): Promise<Values> {
  const encoder = await pipeline.models.load(name);
  const names = encoder.outputs.map(({ name }) => name);
  const output = told ?? (reads === 'pooled' ? 'image_embeds' : requiredLastButOne(names, name));
  if (!names.includes(output))
    throw new IpgraftError(
      'PIPELINE_COMPONENT',
      `image_encoder: sought the output ${output}, found ${names.join(', ')}`,
      { component: 'image_encoder', found: names },
    );
  const outputs = await runComponent(
    encoder,
    { [encoder.inputs[0]!.name]: pixels },
    { ...options, outputs: [output] },
  );
  return outputs.get(output)!;
}
