import { IpgraftError } from '../../compiler/errors.js';
import type { Values } from '../session/session.js';
import type { RunOptions } from './component-model.js';
import { type Conditions, type DenoisedStep, denoise } from './denoise.js';
import { encodeImages } from './image-prompt/encode-images.js';
import { imageRow } from './image-prompt/project-images.js';
import type { RgbImage } from './images/rgb-image.js';
import { maskPixels, picturesOf } from './images/vae-pixels.js';
import { type Size, startOf } from './latents/start.js';
import { type DrawNormal, decodeLatents } from './latents/vae.js';
import { pictureSize } from './picture-size.js';
import type { Pipeline } from './pipeline.js';
import { TorchGenerator } from './random/torch-generator.js';
import type { PictureRequest } from './request.js';
import { stackRows } from './run-component.js';
import { schedulerOf } from './schedulers/config.js';
import { createScheduler } from './schedulers/create-scheduler.js';
import type { SchedulerName } from './schedulers/scheduler.js';
import { encodePrompt, type PromptEmbeds, zerosLike } from './text/encode-prompt.js';
import type { Graft } from './unet/graft.js';
import { guidanceEmbedding } from './unet/guidance.js';
import { type AdapterCondition, ImageConditions, type Rows } from './unet/image-conditions.js';
import { imageWidths } from './unet/image-widths.js';

/** How pictures are made, beside what they show. */
export interface GenerateOptions {
  /** Gives up when it is aborted, after the run of a model that is under way. */
  readonly signal?: AbortSignal;
  /** Told what was made of the request, before the first model runs. */
  readonly onPlan?: (plan: PicturePlan) => void;
  /** Told after each step, and waited for. */
  readonly onStep?: (step: DenoisedStep) => void | Promise<void>;
}

/** What a request leaves open, decided. */
export interface PicturePlan {
  readonly size: Size;
  readonly scheduler: SchedulerName;
  /** Steps that are taken: fewer than asked for where a picture is started from. */
  readonly steps: number;
  /** The seed that gives each picture alone. */
  readonly seeds: readonly number[];
}

/** Pictures, and what was made of the request. */
export interface Generated extends Omit<PicturePlan, 'seeds'> {
  /** Each with the seed that gives it alone. */
  readonly pictures: readonly { readonly image: RgbImage; readonly seed: number }[];
  /** [pictures, channels, height, width], as the decoder's scale has them not yet. */
  readonly latents: Values;
  /** What the caller should know: text that was not read. */
  readonly warnings: readonly string[];
}

/**
 * Makes pictures of text and images: the pipelines of diffusers for text-to-image, image-to-image and inpainting, with IP-Adapters. The same
 * request and seed give diffusers' picture with a generator on the CPU, up to rounding.
 * @throws IpgraftError `PIPELINE_REQUEST`, `PIPELINE_IMAGE_PROMPT`, `PIPELINE_COMPONENT`, `OPTION_SCHEDULER`, and as the models;
 *   `AbortError` when the signal is given
 */
export async function generate(
  pipeline: Pipeline,
  request: PictureRequest,
  { signal, onPlan, onStep }: GenerateOptions = {},
): Promise<Generated> {
  const run: RunOptions = signal === undefined ? {} : { signal };
  refuseMask(request);
  const size = pictureSize(pipeline, request);
  const name = request.scheduler ?? schedulerOf(pipeline.scheduler) ?? 'ddim';
  const strength = request.initImage === undefined ? 1 : request.strength;
  // Stable Diffusion's PNDM is its linear multistep part alone, whatever another class's configuration leaves out.
  const config = name === 'pndm' ? { ...pipeline.scheduler, skip_prk_steps: true } : pipeline.scheduler;
  const scheduler = createScheduler(name, config, { steps: request.steps, strength });
  const seeds = Array.from({ length: request.pictures }, (_, i) => request.seed + i);
  const plan = { size, scheduler: name, steps: scheduler.timesteps.length };
  onPlan?.({ ...plan, seeds });
  const isGuided = request.guidance > 1 && pipeline.unet.timeCondWidth === null;
  const rows = { negative: isGuided ? request.pictures : 0, positive: request.pictures };
  const text = await textOf(pipeline, request, isGuided, run);
  const conditions: Conditions = {
    ...textConditions(pipeline, request, text, rows, size),
    images: await imagesOf(pipeline, request, rows, size, text.prompt.states.dims[2]!, run),
  };
  const draws = seeds.map((seed): DrawNormal => {
    const generator = new TorchGenerator(seed);
    return (count) => generator.normal(count);
  });
  const start = await startOf(pipeline, request, size, scheduler, draws, run);
  const latents = await denoise({
    unet: await pipeline.models.load('unet'),
    scheduler,
    ...start,
    conditions,
    guidance: { scale: isGuided ? request.guidance : 1, rescale: request.guidanceRescale },
    draw: (count) => together(draws, count),
    ...(onStep && { onStep }),
    ...(signal && { signal }),
  });
  const images = await picturesOf(await decodeLatents(pipeline, latents, run));
  return {
    pictures: images.map((image, i) => ({ image, seed: seeds[i]! })),
    latents,
    ...plan,
    warnings: warningsOf(text),
  };
}

interface Text {
  readonly prompt: PromptEmbeds;
  readonly negative: PromptEmbeds | null;
}

async function textOf(
  pipeline: Pipeline,
  { prompt, negativePrompt }: PictureRequest,
  isGuided: boolean,
  run: RunOptions,
): Promise<Text> {
  const positive = await encodePrompt(pipeline, prompt, run);
  if (!isGuided) return { prompt: positive, negative: null };
  const isZeros = pipeline.kind === 'sdxl' && pipeline.zerosForNoPrompt && negativePrompt === undefined;
  const negative = isZeros ? zerosLike(positive) : await encodePrompt(pipeline, negativePrompt ?? '', run);
  return { prompt: positive, negative };
}

/** Text states, and SDXL's pooled text and sizes, for all rows: unconditional ones first. */
function textConditions(
  { kind, unet }: Pipeline,
  { guidance }: PictureRequest,
  { prompt, negative }: Text,
  { negative: off, positive: on }: Rows,
  { width, height }: Size,
): Omit<Conditions, 'images'> {
  const all = (of: (embeds: PromptEmbeds) => Values) =>
    stackRows([
      ...Array.from({ length: off }, () => of(negative!)),
      ...Array.from({ length: on }, () => of(prompt)),
    ]);
  const more: Record<string, Values> = {};
  if (kind === 'sdxl') {
    more.text_embeds = all(({ pooled }) => pooled!);
    // Original size, crop, target size.
    const ids = { dims: [1, 6], data: Float32Array.of(height, width, 0, 0, height, width) };
    more.time_ids = stackRows(Array.from({ length: off + on }, () => ids));
  }
  if (unet.timeCondWidth !== null)
    more.timestep_cond = guidanceEmbedding(guidance, unet.timeCondWidth, off + on);
  return { textInput: unet.textInput, text: all(({ states }) => states), more };
}

async function imagesOf(
  pipeline: Pipeline,
  request: PictureRequest,
  rows: Rows,
  size: Size,
  textWidth: number,
  run: RunOptions,
): Promise<ImageConditions | null> {
  const { graft } = pipeline.unet;
  const prompts = request.adapters;
  const count = graft?.adapters.length ?? 0;
  if (prompts.length > count)
    throw new IpgraftError(
      'PIPELINE_IMAGE_PROMPT',
      `sought image prompts for ${count} adapters, found ${prompts.length}`,
      { sought: count, found: prompts.length },
      graft === null
        ? { hint: 'Graft an adapter into the UNet first: ipgraft adapt, or ipgraft compile.' }
        : {},
    );
  if (graft === null) return null;
  const adapters: AdapterCondition[] = [];
  for (const [index, adapter] of graft.adapters.entries()) {
    const prompt = prompts[index] ?? null;
    const looks = prompt !== null && (prompt.images.length > 0 || prompt.embeds !== undefined);
    const projection = pipeline.projections[index]!;
    const row = looks
      ? await imageRow(
          pipeline,
          adapter,
          projection,
          await encodeImages(pipeline, projection, prompt, run),
          run,
        )
      : null;
    adapters.push({ adapter, prompt, row });
  }
  const widths = imageWidths(await pipeline.models.load('unet'), graft, textWidth);
  return new ImageConditions(graft, adapters, rows, widths, await masksOf(graft, request, size));
}

/** `ip_mask` [images, 1, height, width]: a mask for each image, all of the picture where none is given. */
async function masksOf(
  { adapters, masks }: Graft,
  request: PictureRequest,
  { width, height }: Size,
): Promise<Values | null> {
  const given = request.adapters.map((prompt) => prompt.masks);
  if (!masks) {
    if (given.every((each) => each.length === 0)) return null;
    throw new IpgraftError(
      'PIPELINE_IMAGE_PROMPT',
      'sought no masks for images, found some: the UNet was patched without them',
      {},
      { hint: 'Compile it with --masks.' },
    );
  }
  const everywhere = { dims: [1, 1, height, width], data: new Float32Array(width * height).fill(1) };
  const rows: Values[] = [];
  for (const [index, { name, images }] of adapters.entries()) {
    const own = given[index] ?? [];
    if (own.length > 0 && own.length !== images)
      throw new IpgraftError(
        'PIPELINE_IMAGE_PROMPT',
        `${name}: sought ${images} masks, found ${own.length}`,
        {
          adapter: name,
          sought: images,
          found: own.length,
        },
      );
    for (let i = 0; i < images; i++) {
      const mask = own[i];
      rows.push(mask === undefined ? everywhere : await maskPixels(mask, width, height));
    }
  }
  return stackRows(rows);
}

/** Numbers for all pictures, each from its own generator. */
function together(draws: readonly DrawNormal[], count: number): Float32Array {
  const each = count / draws.length;
  const all = new Float32Array(count);
  for (const [i, draw] of draws.entries()) all.set(draw(each), i * each);
  return all;
}

function refuseMask({ mask, initImage }: PictureRequest): void {
  if (mask === undefined || initImage !== undefined) return;
  throw new IpgraftError('PIPELINE_REQUEST', 'mask: sought a picture to paint in, found none', {
    field: 'mask',
  });
}

function warningsOf({ prompt, negative }: Text): string[] {
  const cut = (name: string, text: string) =>
    `${name}: what the text encoder cannot read any more was cut: ${text}`;
  return [
    ...(prompt.cut === '' ? [] : [cut('prompt', prompt.cut)]),
    ...(negative === null || negative.cut === '' ? [] : [cut('negative prompt', negative.cut)]),
  ];
}
