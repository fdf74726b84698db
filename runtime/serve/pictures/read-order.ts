import { randomInt } from 'node:crypto';
import { IpgraftError } from '../../../compiler/errors.js';
import { pictureSize } from '../../pipeline/picture-size.js';
import type { Pipeline } from '../../pipeline/pipeline.js';
import { refusedField } from '../../pipeline/refused-field.js';
import { type PictureRequest, pictureRequest } from '../../pipeline/request.js';
import { checkImage } from './decode-order.js';
import { type GenerationRequest, generationRequest, type ImageFiles } from './generation-request.js';
import { imageBytes } from './image-bytes.js';
import type { EncodedImage, EncodedLook, PictureOrder, ServedLimits } from './picture-order.js';
import { sizeText } from './size-text.js';

/** Seeds that are drawn are below it: all that the generator tells apart. */
const SEEDS = 2 ** 32;

/** Checks the fields of a request. @throws IpgraftError `PIPELINE_REQUEST` */
export function readGenerationRequest(value: unknown): GenerationRequest {
  const url = (value as GenerationRequest | null)?.response_format as string | null | undefined;
  if (url === 'url') throw refusal('response_format', 'b64_json', 'url: pictures are not kept here');
  const { success, data, error } = generationRequest.safeParse(value);
  if (success) return data;
  throw refusedField(value, error.issues, wayTo);
}

/**
 * What a request asks of a pipeline, as far as that can be told before it runs: numbers within limits, images by their heads.
 * @throws IpgraftError `PIPELINE_REQUEST`, `PIPELINE_IMAGE`, `PIPELINE_IMAGE_PROMPT`
 */
export async function readOrder(
  asked: GenerationRequest,
  files: ImageFiles,
  pipeline: Pipeline,
  limits: ServedLimits,
): Promise<PictureOrder> {
  const looks = looksOf(asked, files, pipeline);
  const one = (field: 'init_image' | 'mask'): EncodedImage | undefined => {
    const text = asked[field];
    const bytes = files[field] ?? (typeof text === 'string' ? imageBytes(text, field) : undefined);
    return bytes && { field, bytes };
  };
  const initImage = one('init_image');
  const mask = one('mask');
  const request = checked(asked, looks, limits);
  if (mask !== undefined && initImage === undefined)
    throw refusal('init_image', 'a picture to paint in', 'none');
  if (initImage !== undefined && !pipeline.models.has('vae_encoder'))
    throw refusal('init_image', 'none, as the pipeline has no vae_encoder', 'one');
  for (const { images, masks } of looks) for (const image of [...images, ...masks]) await checkImage(image);
  if (mask !== undefined) await checkImage(mask);
  const from = initImage && (await checkImage(initImage));
  checkSize(pipeline, { ...request, initImage: from }, limits);
  return { request, initImage, mask, looks };
}

/** The request without its images. */
function checked(
  asked: GenerationRequest,
  looks: readonly EncodedLook[],
  limits: ServedLimits,
): PictureRequest {
  const given = <T>(value: T | null | undefined): T | undefined => value ?? undefined;
  const { image_prompts: prompts } = asked;
  const adapters = looks.map(({ images }, i) => {
    const own = typeof prompts?.[i] === 'object' ? prompts[i] : null;
    if (images.length === 0) return {};
    return {
      scale: own?.scale ?? given(asked.scale),
      start: own?.start ?? given(asked.start),
      end: own?.end ?? given(asked.end),
    };
  });
  const pictures = asked.n ?? 1;
  const request = {
    prompt: asked.prompt,
    negativePrompt: given(asked.negative_prompt),
    ...sizeOf(asked.size),
    steps: given(asked.steps),
    guidance: given(asked.guidance_scale),
    guidanceRescale: given(asked.guidance_rescale),
    seed: asked.seed ?? randomInt(SEEDS),
    scheduler: given(asked.scheduler),
    pictures,
    strength: given(asked.strength),
    adapters,
  };
  try {
    return pictureRequest(request, limits);
  } catch (error) {
    throw error instanceof IpgraftError ? renamed(error) : error;
  }
}

/** What each adapter looks at. Files go to the adapters in their order, as many as each reads. */
function looksOf(
  { image_prompts: prompts }: GenerationRequest,
  { image_prompts: files }: ImageFiles,
  { unet }: Pipeline,
): EncodedLook[] {
  const adapters = unet.graft?.adapters ?? [];
  if (files.length > 0 && prompts?.length) throw refusal('image_prompts', 'files or a field', 'both');
  const looks = files.length > 0 ? dealt(files, adapters) : (prompts ?? []).map(lookOf);
  if (looks.length > adapters.length)
    throw new IpgraftError(
      'PIPELINE_IMAGE_PROMPT',
      `image_prompts: sought one for each of ${adapters.length} adapters, found ${looks.length}`,
      { field: 'image_prompts' },
    );
  for (const [i, { images, masks }] of looks.entries()) {
    const most = adapters[i]!.images;
    for (const [name, { length }] of Object.entries({ images, masks }))
      if (length > most)
        throw new IpgraftError(
          'PIPELINE_IMAGE_PROMPT',
          `image_prompts[${i}]: sought ${most} ${name} at most, found ${length}`,
          { field: `image_prompts[${i}]` },
        );
  }
  return looks;
}

function lookOf(look: NonNullable<GenerationRequest['image_prompts']>[number], at: number): EncodedLook {
  const field = `image_prompts[${at}]`;
  if (look === null) return { images: [], masks: [] };
  if (typeof look === 'string') return { images: [{ field, bytes: imageBytes(look, field) }], masks: [] };
  const all = (name: 'images' | 'masks') =>
    (look[name] ?? []).map((text, i) => {
      const way = `${field}.${name}[${i}]`;
      return { field: way, bytes: imageBytes(text, way) };
    });
  return { images: all('images'), masks: all('masks') };
}

function dealt(
  files: readonly Uint8Array[],
  adapters: readonly { readonly images: number }[],
): EncodedLook[] {
  const images = files.map((bytes, i) => ({ field: `image_prompts (file ${i + 1})`, bytes }));
  const looks: EncodedLook[] = [];
  for (const { images: count } of adapters) {
    if (images.length === 0) break;
    looks.push({ images: images.splice(0, count), masks: [] });
  }
  // What no adapter reads is told by the number of looks.
  return images.length === 0 ? looks : [...looks, { images, masks: [] }];
}

function sizeOf(text: string | null | undefined): { width?: number; height?: number } {
  if (text === null || text === undefined || text === 'auto') return {};
  const [, width, height] = /^([1-9]\d{0,5})x([1-9]\d{0,5})$/.exec(text) ?? [];
  if (width === undefined)
    throw refusal('size', 'WIDTHxHEIGHT, such as 512x768, or auto', `“${text.slice(0, 40)}”`);
  return { width: Number(width), height: Number(height) };
}

function checkSize(
  pipeline: Pipeline,
  wanted: Parameters<typeof pictureSize>[1],
  { pixels }: ServedLimits,
): void {
  let size: ReturnType<typeof pictureSize>;
  try {
    size = pictureSize(pipeline, wanted);
  } catch (error) {
    throw error instanceof IpgraftError ? renamed(error) : error;
  }
  if (size.width * size.height <= pixels) return;
  throw refusal('size', `${pixels} pixels at most`, sizeText(size));
}

/** What the fields are called that a pipeline's request calls otherwise. */
const NAMES: Readonly<Record<string, string>> = {
  negativePrompt: 'negative_prompt',
  width: 'size',
  height: 'size',
  guidance: 'guidance_scale',
  guidanceRescale: 'guidance_rescale',
  pictures: 'n',
};

/** The same error, by the names of the fields here. */
function renamed(error: IpgraftError): IpgraftError {
  const { field } = error.facts;
  if (error.code !== 'PIPELINE_REQUEST' || typeof field !== 'string') return error;
  const name = NAMES[field] ?? field.replace(/^adapters\.(\d+)/, 'image_prompts[$1]');
  const message = error.message.startsWith(field) ? name + error.message.slice(field.length) : error.message;
  return new IpgraftError('PIPELINE_REQUEST', message, { ...error.facts, field: name }, { hint: error.hint });
}

function wayTo(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .slice(1);
}

function refusal(field: string, sought: string, found: string): IpgraftError {
  return new IpgraftError('PIPELINE_REQUEST', `${field}: sought ${sought}, found ${found}`, { field });
}
