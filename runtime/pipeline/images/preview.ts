import type { Values } from '../../session/session.js';
import type { RgbImage } from './rgb-image.js';

/** Red, green and blue of each latent channel, and what is added; 0 is black and 1 white. */
interface LatentColours {
  readonly factors: readonly (readonly [number, number, number])[];
  readonly bias: readonly [number, number, number];
}

/**
 * SD1.x and SD2.x, whose latents are roughly colours. Source: “Decoding latents to RGB without upscaling”, discuss.huggingface.co/t/23204,
 * fitted there to pictures from −1 to 1.
 */
const SD: LatentColours = {
  factors: [
    [0.149, 0.1035, 0.104],
    [0.0935, 0.143, 0.0865],
    [-0.079, 0.0945, 0.132],
    [-0.092, -0.1355, -0.2365],
  ],
  bias: [0.5, 0.5, 0.5],
};

/** SDXL. Source: `latents_to_rgb` in diffusers' guide to pipeline callbacks, there from 0 to 255. */
const SDXL: LatentColours = {
  factors: [
    [60 / 255, 60 / 255, 60 / 255],
    [-60 / 255, -5 / 255, 10 / 255],
    [25 / 255, 15 / 255, -5 / 255],
    [-70 / 255, -50 / 255, -35 / 255],
  ],
  bias: [150 / 255, 140 / 255, 130 / 255],
};

/**
 * Small pictures of latents [pictures, 4, h, w], w × h pixels each: a rough look that costs nothing, without the decoder. Latents of other
 * than four channels have none.
 */
export function previews({ dims, data }: Values, kind: 'sd' | 'sdxl'): RgbImage[] {
  const [count, channels, height, width] = dims as [number, number, number, number];
  const { factors, bias } = kind === 'sdxl' ? SDXL : SD;
  if (channels !== factors.length) return [];
  const area = width * height;
  return Array.from({ length: count }, (_, picture) => {
    const pixels = new Uint8ClampedArray(3 * area);
    for (let i = 0; i < area; i++)
      for (let colour = 0; colour < 3; colour++) {
        const share = factors.reduce(
          (sum, factor, channel) => sum + factor[colour]! * data[(picture * channels + channel) * area + i]!,
          bias[colour]!,
        );
        pixels[3 * i + colour] = share * 255;
      }
    return { width, height, data: new Uint8Array(pixels.buffer) };
  });
}
