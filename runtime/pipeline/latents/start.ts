import type { Values } from '../../session/session.js';
import type { RunOptions } from '../component-model.js';
import type { Kept } from '../denoise.js';
import { maskPixels, vaePixels } from '../images/vae-pixels.js';
import type { Pipeline } from '../pipeline.js';
import type { PictureRequest } from '../request.js';
import { stackRows } from '../run-component.js';
import type { Scheduler } from '../schedulers/scheduler.js';
import { type DrawNormal, encodePicture } from './vae.js';

/** Where the denoising of some pictures begins. */
export interface Start {
  /** [pictures, channels, height, width], as noisy as the scheduler's first step has them. */
  readonly latents: Values;
  readonly channels: Values | null;
  readonly kept: Kept | null;
}

/** In pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Draws and encodes what denoising begins with, one picture at a time from its own numbers, in the order of diffusers' pipelines, so that a
 * seed gives their picture: noise alone from text; the encoded image, then noise; with a mask the encoded image where it is needed, noise,
 * and the encoded rest of the image.
 * @throws IpgraftError as the VAE's encoder
 */
export async function startOf(
  pipeline: Pipeline,
  { initImage, mask, strength }: PictureRequest,
  size: Size,
  scheduler: Scheduler,
  draws: readonly DrawNormal[],
  options: RunOptions = {},
): Promise<Start> {
  const shape = [
    1,
    pipeline.vae.latentChannels,
    size.height / pipeline.vae.pixelsPerLatent,
    size.width / pipeline.vae.pixelsPerLatent,
  ];
  const count = shape.reduce((product, each) => product * each, 1);
  const pixels = initImage && (await vaePixels(initImage, size.width, size.height));
  const area = mask && (await maskPixels(mask, size.width, size.height));
  const takesMask = pipeline.unet.inChannels !== pipeline.vae.latentChannels;
  const started: { latents: Values; noise: Values; original: Values | null; masked: Values | null }[] = [];
  for (const draw of draws) {
    const isPure = pixels === undefined || (area !== undefined && strength === 1);
    const original =
      pixels === undefined || (isPure && takesMask)
        ? null
        : await encodePicture(pipeline, pixels, draw, options);
    const noise = { dims: shape, data: draw(count) };
    const data = isPure
      ? noise.data.map((value) => value * scheduler.initNoiseSigma)
      : scheduler.addNoise(original!.data, noise.data, 0);
    const masked =
      pixels === undefined || area === undefined
        ? null
        : await encodePicture(pipeline, outside(pixels, area), draw, options);
    started.push({ latents: { dims: shape, data }, noise, original, masked });
  }
  const stack = (of: (each: (typeof started)[number]) => Values) => stackRows(started.map(of));
  const latents = stack((each) => each.latents);
  if (area === undefined) return { latents, channels: null, kept: null };
  const small = nearest(area, shape[2]!, shape[3]!);
  if (takesMask) {
    const channels = started.map(({ masked }) => besideMask(small, masked!));
    return { latents, channels: stackRows(channels), kept: null };
  }
  return {
    latents,
    channels: null,
    kept: { original: stack((each) => each.original!), noise: stack((each) => each.noise), mask: small },
  };
}

/** The picture with zeros where the mask is. */
function outside(pixels: Values, mask: Values): Values {
  const data = pixels.data.map((value, i) => (mask.data[i % mask.data.length] === 1 ? 0 : value));
  return { dims: pixels.dims, data };
}

/** The channels of a UNet for inpainting behind the latents: mask, masked picture. */
function besideMask(mask: Values, { dims, data }: Values): Values {
  const [, channels, height, width] = dims as [number, number, number, number];
  const both = new Float32Array(mask.data.length + data.length);
  both.set(mask.data);
  both.set(data, mask.data.length);
  return { dims: [1, channels + 1, height, width], data: both };
}

/** Each target pixel takes the source pixel at its upper left corner, as PyTorch's `nearest`. */
function nearest({ dims, data }: Values, height: number, width: number): Values {
  const [, , fromHeight, fromWidth] = dims as [number, number, number, number];
  const picked = new Float32Array(height * width);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      picked[y * width + x] =
        data[Math.floor((y * fromHeight) / height) * fromWidth + Math.floor((x * fromWidth) / width)]!;
  return { dims: [1, 1, height, width], data: picked };
}
