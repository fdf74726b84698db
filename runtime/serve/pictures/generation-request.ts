import * as z from 'zod/mini';

const unread = z.nullish(z.unknown());
const images = z.array(z.string());
const look = z.union([
  z.string(),
  z.strictObject({
    images: z.nullish(images),
    masks: z.nullish(images),
    scale: unread,
    start: z.nullish(z.number()),
    end: z.nullish(z.number()),
  }),
  z.null(),
]);

/**
 * The fields of a request for pictures: OpenAI's, and those that its pipelines lack. What they may be is checked here, how much of it where the
 * picture is planned. Images are base64, or `data:` URLs with it.
 */
export const generationRequest = z.strictObject({
  model: z.nullish(z.string()),
  prompt: z.string(),
  negative_prompt: z.nullish(z.string()),
  n: z.nullish(z.int()),
  size: z.nullish(z.string()),
  steps: z.nullish(z.int()),
  guidance_scale: z.nullish(z.number()),
  guidance_rescale: z.nullish(z.number()),
  seed: z.nullish(z.int()),
  scheduler: z.nullish(z.string()),
  image_prompts: z.nullish(z.array(look)),
  scale: unread,
  start: z.nullish(z.number()),
  end: z.nullish(z.number()),
  init_image: z.nullish(z.string()),
  strength: z.nullish(z.number()),
  mask: z.nullish(z.string()),
  response_format: z.nullish(z.enum(['b64_json'])),
  output_format: z.nullish(z.enum(['png', 'jpeg', 'webp'])),
  output_compression: z.nullish(z.int().check(z.minimum(0), z.maximum(100))),
  stream: z.nullish(z.boolean()),
  partial_images: z.nullish(z.int().check(z.minimum(0), z.maximum(3))),
  previews: z.nullish(z.boolean()),
  // Of OpenAI's, without a meaning here.
  user: unread,
  quality: unread,
  style: unread,
  background: unread,
  moderation: unread,
});

/** A request for pictures as JSON has it. */
export type GenerationRequest = z.infer<typeof generationRequest>;

/** Images that came as files: bytes in the place of base64. */
export interface ImageFiles {
  readonly image_prompts: readonly Uint8Array[];
  readonly init_image?: Uint8Array;
  readonly mask?: Uint8Array;
}
