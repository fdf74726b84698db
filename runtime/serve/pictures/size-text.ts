import type { Size } from '../../pipeline/latents/start.js';

/** As OpenAI's API writes the size of a picture: `512x768`. */
export function sizeText({ width, height }: Size): string {
  return `${width}x${height}`;
}
