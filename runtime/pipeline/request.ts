import * as z from 'zod/mini';
import type { Values } from '../session/session.js';
import type { RgbImage } from './images/rgb-image.js';
import { refusedField } from './refused-field.js';
import { SCHEDULER_NAMES } from './schedulers/scheduler.js';

/** What a caller allows; what is asked beyond is refused. */
export interface PictureLimits {
  /** Characters of a prompt. */
  readonly prompt: number;
  readonly steps: number;
  /** Pictures of one request. */
  readonly pictures: number;
  /** Along each side. */
  readonly pixels: number;
}

/** For one who asks on a machine of one's own. */
export const GENEROUS_LIMITS: PictureLimits = { prompt: 100_000, steps: 1000, pictures: 64, pixels: 8192 };

const count = z.int().check(z.positive());
const share = z.number().check(z.minimum(0), z.maximum(1));

const image = z.custom<RgbImage>((value) => {
  const { width, height, data } = (value ?? {}) as Partial<RgbImage>;
  return data instanceof Uint8Array && data.length === (width ?? 0) * (height ?? 0) * 3 && data.length > 0;
}, 'no picture');

const values = z.custom<Values>((value) => {
  const { dims, data } = (value ?? {}) as Partial<Values>;
  return (
    data instanceof Float32Array && Array.isArray(dims) && dims.reduce((a, b) => a * b, 1) === data.length
  );
}, 'no numbers with a shape');

/** What an image encoder would give. */
const embeds = z.object({
  /** [images, E] or [images, N, E], as the encoder gives them. */
  image: values,
  /** The same of no image; without it zeros, or what the encoder makes of zeros. */
  negative: z.optional(values),
  /** [images, F]: face embeddings, where the adapter reads them. */
  face: z.optional(values),
});

const numbers = z.array(z.number()).check(z.minLength(1));

/** Of a part of the UNet: one number, or for each block (`block_0`, …) one, or one for each of its attentions. */
const scaleOfPart = z.union([z.number(), z.record(z.string(), z.union([z.number(), numbers]))]);

/** As diffusers' `set_ip_adapter_scale` takes it; what is not named is 0. */
const scaleByBlock = z.strictObject({
  down: z.optional(scaleOfPart),
  mid: z.optional(z.union([z.number(), numbers])),
  up: z.optional(scaleOfPart),
});

const adapterPrompt = z.object({
  /** What the picture is to look like. */
  images: z._default(z.array(image), []),
  /** The same as an encoder gives it, in the place of images. */
  embeds: z.optional(embeds),
  /** How strongly it counts: one number, one for each cross-attention in checkpoint order, or by block. The model's own default, or 1. */
  scale: z.optional(
    z.union(
      [z.number(), numbers, scaleByBlock],
      'sought a number, a list with one per cross-attention, or a dictionary with down, mid and up',
    ),
  ),
  /** From and to which share of the steps it counts. */
  start: z._default(share, 0),
  end: z._default(share, 1),
  /** Where in the picture each image counts: white does. */
  masks: z._default(z.array(image), []),
});

/** The schema of a request, within limits. Sizes are checked against the pipeline later. */
export function pictureRequestSchema(limits: PictureLimits) {
  const text = z.string().check(z.maxLength(limits.prompt));
  const side = z.optional(count.check(z.maximum(limits.pixels)));
  return z.strictObject({
    /** What is to be seen. */
    prompt: text,
    /** What is not to be seen. */
    negativePrompt: z.optional(text),
    /** In pixels; those of `initImage`, or of the UNet's training. */
    width: side,
    height: side,
    steps: z._default(count.check(z.maximum(limits.steps)), 30),
    /** How strongly the prompt counts; from 1 down it is not guided, and there is no negative prompt. */
    guidance: z._default(z.number().check(z.minimum(0), z.maximum(100)), 7.5),
    /** How much of the unguided prediction's deviation is given back. */
    guidanceRescale: z._default(share, 0),
    /** Of the first picture; the others have the next ones. */
    seed: z._default(z.int().check(z.nonnegative()), 42),
    /** The folder's own unless named. */
    scheduler: z.optional(z.enum(SCHEDULER_NAMES)),
    pictures: z._default(count.check(z.maximum(limits.pictures)), 1),
    /** A picture to start from. */
    initImage: z.optional(image),
    /** How much of `initImage` is painted over. */
    strength: z._default(share, 0.8),
    /** Which part of `initImage` is painted anew: white is. */
    mask: z.optional(image),
    /** What each adapter of the UNet is to look at, in their order; those behind the last look at nothing. */
    adapters: z._default(z.array(adapterPrompt), []),
  });
}

/** What a picture is made of, checked. */
export type PictureRequest = z.infer<ReturnType<typeof pictureRequestSchema>>;
/** The same as a caller writes it: what has a default may be left out. */
export type PictureRequestInput = z.input<ReturnType<typeof pictureRequestSchema>>;
export type AdapterPrompt = PictureRequest['adapters'][number];

/** Checks a request. @throws IpgraftError `PIPELINE_REQUEST` that names the field */
export function pictureRequest(request: unknown, limits: PictureLimits): PictureRequest {
  const found = pictureRequestSchema(limits).safeParse(request);
  if (found.success) return found.data;
  throw refusedField(request, found.error.issues);
}
