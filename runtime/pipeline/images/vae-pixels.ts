import type { Values } from '../../session/session.js';
import { roundHalfEven } from '../round-half-even.js';
import { Turns } from '../turns.js';
import { LANCZOS, pillowResize } from './pillow-resize.js';
import type { RgbImage } from './rgb-image.js';

/** A picture as a VAE reads it: [1, 3, height, width] from −1 to 1. Source: diffusers' `VaeImageProcessor.preprocess`. */
export async function vaePixels(image: RgbImage, width: number, height: number): Promise<Values> {
  const { data } = await pillowResize(image, width, height, LANCZOS);
  const area = width * height;
  const pixels = new Float32Array(3 * area);
  for (let i = 0; i < area; i++)
    for (let channel = 0; channel < 3; channel++)
      pixels[channel * area + i] = 2 * Math.fround(data[3 * i + channel]! / 255) - 1;
  return { dims: [1, 3, height, width], data: pixels };
}

/** A mask as [1, 1, height, width]: 1 where it is at least half white. Source: diffusers' `VaeImageProcessor` with `do_binarize`. */
export async function maskPixels(mask: RgbImage, width: number, height: number): Promise<Values> {
  const { data } = await pillowResize(mask, width, height, LANCZOS);
  const pixels = new Float32Array(width * height);
  for (let i = 0; i < pixels.length; i++)
    pixels[i] = grey(data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!) >= 127.5 ? 1 : 0;
  return { dims: [1, 1, height, width], data: pixels };
}

/** What a VAE gives, [n, 3, H, W] from −1 to 1, as n pictures. Halves are rounded to even, as numpy does. */
export async function picturesOf({ dims, data }: Values): Promise<RgbImage[]> {
  const [count, , height, width] = dims as [number, number, number, number];
  const area = width * height;
  const turns = new Turns();
  const pictures: RgbImage[] = [];
  for (let row = 0; row < count; row++) {
    const pixels = new Uint8Array(3 * area);
    for (let i = 0; i < area; i++) {
      if (i % width === 0 && turns.isDue) await turns.give();
      for (let channel = 0; channel < 3; channel++) {
        const share = Math.fround(data[(row * 3 + channel) * area + i]! / 2 + 0.5);
        pixels[3 * i + channel] = roundHalfEven(Math.fround(Math.min(Math.max(share, 0), 1) * 255));
      }
    }
    pictures.push({ width, height, data: pixels });
  }
  return pictures;
}

/** ITU-R 601-2 in whole numbers, as Pillow converts to mode L. */
function grey(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}
