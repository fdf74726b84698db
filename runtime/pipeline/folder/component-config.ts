import { join } from 'node:path';
import * as z from 'zod/mini';
import type { Component } from './component.js';
import { folderFault } from './inside.js';

const count = z.int().check(z.positive());
const optional = <T extends z.ZodMiniType>(schema: T) => z._default(z.nullable(schema), null);
const numbers = z.array(z.number());

const unetSchema = z.object({
  in_channels: z._default(count, 4),
  out_channels: z._default(count, 4),
  cross_attention_dim: optional(z.union([count, z.array(count)])),
  sample_size: optional(z.union([count, z.tuple([count, count])])),
  time_cond_proj_dim: optional(count),
  addition_embed_type: optional(z.string()),
});

const vaeSchema = z.object({
  scaling_factor: z._default(z.number().check(z.positive()), 0.18215),
  shift_factor: optional(z.number()),
  latents_mean: optional(numbers),
  latents_std: optional(numbers),
  latent_channels: z._default(count, 4),
  force_upcast: z._default(z.boolean(), true),
  block_out_channels: z._default(z.array(count).check(z.minLength(1)), [64]),
});

const visionFields = z.object({
  hidden_size: optional(count),
  projection_dim: optional(count),
  image_size: optional(count),
  patch_size: optional(count),
  num_hidden_layers: optional(count),
});
/** A CLIP model's own configuration keeps that of its image side in a part of its own. */
const visionSchema = z.extend(visionFields, { vision_config: z.optional(visionFields) });

/** What a pipeline needs to know of a UNet; absent keys are diffusers' defaults (`UNet2DConditionModel`). */
export interface UnetConfig {
  /** Of `sample`: 4, 9 for inpainting, 8 for edits. */
  readonly inChannels: number;
  /** Of `out_sample`. */
  readonly outChannels: number;
  /** Width of the text states; `null` where it is not said, or differs from block to block. */
  readonly textWidth: number | null;
  /** Height and width of the latents that it was trained on; `null` where it is not said. */
  readonly sampleSize: readonly [height: number, width: number] | null;
  /** Width of `timestep_cond`, the embedding of the guidance scale that distilled models (LCM) take; `null` where none is taken. */
  readonly timeCondWidth: number | null;
  /** `text_time` in SDXL; `null` in SD1.x and SD2.x. */
  readonly additionEmbedType: string | null;
}

/** What a pipeline needs to know of a VAE; absent keys are diffusers' defaults (`AutoencoderKL`). */
export interface VaeConfig {
  /** Latents are multiplied by it after encoding, and divided by it before decoding. */
  readonly scalingFactor: number;
  /** Subtracted before scaling; `null` where there is none. */
  readonly shiftFactor: number | null;
  /** Per channel, where latents are normalised so instead. */
  readonly latentsMean: readonly number[] | null;
  /** Per channel, beside the mean. */
  readonly latentsStd: readonly number[] | null;
  readonly latentChannels: number;
  /** Whether it overflows in float16. */
  readonly forceUpcast: boolean;
  /** Pixels per latent, along each side. */
  readonly pixelsPerLatent: number;
}

/** What a pipeline needs to know of an image encoder; `null` where it is not said. */
export interface VisionConfig {
  /** Width of the hidden states. */
  readonly hiddenWidth: number | null;
  /** Width of the pooled `image_embeds`. */
  readonly projectionWidth: number | null;
  /** Pixels along each side. */
  readonly imageSize: number | null;
  /** Pixels along each side of what becomes one hidden state. */
  readonly patchSize: number | null;
  readonly layers: number | null;
}

/** Reads a UNet's configuration; `null` where it has none. @throws IpgraftError `MODEL_FOLDER_FILE` */
export function unetConfig(component: Component): UnetConfig | null {
  const found = parse(unetSchema, component);
  if (found === null) return null;
  const { cross_attention_dim: text, sample_size: size } = found;
  return {
    inChannels: found.in_channels,
    outChannels: found.out_channels,
    textWidth: typeof text === 'number' ? text : null,
    sampleSize: typeof size === 'number' ? [size, size] : size,
    timeCondWidth: found.time_cond_proj_dim,
    additionEmbedType: found.addition_embed_type,
  };
}

/** Reads a VAE's configuration, of its encoder or its decoder; `null` where it has none. @throws IpgraftError `MODEL_FOLDER_FILE` */
export function vaeConfig(component: Component): VaeConfig | null {
  const found = parse(vaeSchema, component);
  return (
    found && {
      scalingFactor: found.scaling_factor,
      shiftFactor: found.shift_factor,
      latentsMean: found.latents_mean,
      latentsStd: found.latents_std,
      latentChannels: found.latent_channels,
      forceUpcast: found.force_upcast,
      pixelsPerLatent: 2 ** (found.block_out_channels.length - 1),
    }
  );
}

/** Reads an image encoder's configuration; `null` where it has none. @throws IpgraftError `MODEL_FOLDER_FILE` */
export function visionConfig(component: Component): VisionConfig | null {
  const whole = parse(visionSchema, component);
  if (whole === null) return null;
  const image = whole.vision_config ?? whole;
  return {
    hiddenWidth: image.hidden_size,
    // Of the whole model, where there is one: its image side repeats a default there.
    projectionWidth: whole.projection_dim ?? image.projection_dim,
    imageSize: image.image_size,
    patchSize: image.patch_size,
    layers: image.num_hidden_layers,
  };
}

function parse<T extends z.ZodMiniType>(schema: T, { name, config }: Component): z.infer<T> | null {
  if (config === null) return null;
  const found = schema.safeParse(config);
  if (found.success) return found.data;
  const [first] = found.error.issues;
  throw folderFault(join(name, 'config.json'), `${first!.path.join('.')}: ${first!.message}`);
}
