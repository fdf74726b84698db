import type { Values } from '../session/session.js';
import type { ComponentModel } from './component-model.js';
import type { DrawNormal } from './latents/vae.js';
import { type Feeds, stackRows } from './run-component.js';
import type { Scheduler } from './schedulers/scheduler.js';
import { type Guidance, guide } from './unet/guidance.js';
import { alongTokens, type ImageConditions } from './unet/image-conditions.js';
import { runUnet } from './unet/run-unet.js';

/** A step that was taken. */
export interface DenoisedStep {
  /** From 0. */
  readonly index: number;
  readonly count: number;
  /** Latents as they are now, noise and all: [pictures, channels, height, width]. */
  readonly latents: Values;
  /** The finished latents as this step sees them, for previews; `null` where the scheduler does not say. */
  readonly predicted: Values | null;
}

/** What the UNet reads at every step. */
export interface Conditions {
  /** The name of its text input, and [unconditional rows ; conditional rows] of text, [rows, L, C]. */
  readonly textInput: string;
  readonly text: Values;
  /** SDXL's pooled text and sizes, an LCM's guidance: by input name, for all rows. */
  readonly more: Feeds;
  /** What images bring; `null` for a UNet without adapters. */
  readonly images: ImageConditions | null;
}

/** What is kept of a picture that is painted over in part. */
export interface Kept {
  /** [pictures, channels, height, width] of the picture without noise. */
  readonly original: Values;
  /** What is added to it. */
  readonly noise: Values;
  /** [1, 1, height, width]: 1 where it is painted anew. */
  readonly mask: Values;
}

/** Work of {@link denoise}. */
export interface Denoising {
  readonly unet: ComponentModel;
  readonly scheduler: Scheduler;
  /** As noisy as the scheduler's first step has it. */
  readonly latents: Values;
  readonly conditions: Conditions;
  readonly guidance: Guidance;
  /** Draws noise for all pictures, where the scheduler asks for some. */
  readonly draw: DrawNormal;
  /** Channels behind the latents, [pictures, channels, height, width]: mask and masked picture of a UNet for inpainting. */
  readonly channels: Values | null;
  /** `null` where all is painted. */
  readonly kept: Kept | null;
  /** Waited for. */
  readonly onStep?: (step: DenoisedStep) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Takes latents from noise to a picture's, step by step, as the loop of diffusers' pipelines: rows [unconditional ; conditional] through the
 * UNet, guidance, the scheduler, and what is kept put back.
 * @throws IpgraftError as {@link runUnet}; `AbortError` when the signal is given
 */
export async function denoise(work: Denoising): Promise<Values> {
  const { unet, scheduler, conditions, guidance, signal } = work;
  const isGuided = guidance.scale > 1 && conditions.text.dims[0] === 2 * work.latents.dims[0]!;
  const count = scheduler.timesteps.length;
  let latents = work.latents;
  for (const [index, timestep] of scheduler.timesteps.entries()) {
    const scaled = { dims: latents.dims, data: scheduler.scaleModelInput(latents.data, index) };
    const sample = work.channels === null ? scaled : alongChannels(scaled, work.channels);
    const feeds = {
      sample: isGuided ? stackRows([sample, sample]) : sample,
      timestep: { dims: [], data: Float32Array.of(timestep) },
      ...conditionsAt(conditions, index, count),
    };
    const predicted = await runUnet(unet, feeds, signal);
    const output = isGuided ? guide(predicted, guidance) : predicted;
    const noise = () => work.draw(latents.data.length);
    const stepped = scheduler.step(output.data, index, latents.data, noise);
    latents = {
      dims: latents.dims,
      data: work.kept === null ? stepped : blended(work.kept, stepped, scheduler, index),
    };
    const original = scheduler.predictedOriginal;
    await work.onStep?.({
      index,
      count,
      latents,
      predicted: original && { dims: latents.dims, data: original },
    });
  }
  return latents;
}

function conditionsAt({ textInput, text, more, images }: Conditions, index: number, count: number): Feeds {
  if (images === null) return { ...more, [textInput]: text };
  const { feeds, behindText } = images.at(index, count);
  return { ...more, ...feeds, [textInput]: behindText === null ? text : alongTokens([text, behindText]) };
}

/**
 * What is painted inside of the mask, and outside of it the picture as noisy as the next step has it; after the last step as it is. Source:
 * `StableDiffusionInpaintPipeline` with a UNet of four channels.
 */
function blended(
  { original, noise, mask }: Kept,
  painted: Float32Array,
  scheduler: Scheduler,
  index: number,
): Float32Array {
  const isLast = index === scheduler.timesteps.length - 1;
  const kept = isLast ? original.data : scheduler.addNoise(original.data, noise.data, index + 1);
  const area = mask.data.length;
  return painted.map((value, i) => (mask.data[i % area] === 1 ? value : kept[i]!));
}

/** [B, c₁, h, w] and [B, c₂, h, w] → [B, c₁ + c₂, h, w]. */
function alongChannels(first: Values, second: Values): Values {
  const [rows, , height, width] = first.dims as [number, number, number, number];
  const flat = ({ dims, data }: Values): Values => ({ dims: [rows, dims[1]!, height * width], data });
  const { dims, data } = alongTokens([flat(first), flat(second)]);
  return { dims: [rows, dims[1]!, height, width], data };
}
