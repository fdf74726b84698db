import { IpgraftError } from '../../compiler/errors.js';
import type { Size } from './latents/start.js';
import type { Pipeline } from './pipeline.js';

/** What of a request says how large its pictures are. */
export interface WantedSize {
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  /** A picture to start from, or its size. */
  readonly initImage?: Size | undefined;
}

/**
 * The size of the pictures: what is asked for; else that of the picture to start from, cut to what the UNet can take; else that of the UNet's
 * training.
 * @throws IpgraftError `PIPELINE_REQUEST` for sides that are no multiple of what the UNet halves them by
 */
export function pictureSize({ unet, vae }: Pipeline, { width, height, initImage }: WantedSize): Size {
  const multiple = unet.multiple * vae.pixelsPerLatent;
  const cut = (side: number | undefined) => side && Math.max(side - (side % multiple), multiple);
  const [trainedHeight, trainedWidth] = unet.sampleSize;
  const size = {
    width: width ?? cut(initImage?.width) ?? trainedWidth * vae.pixelsPerLatent,
    height: height ?? cut(initImage?.height) ?? trainedHeight * vae.pixelsPerLatent,
  };
  for (const [name, side] of Object.entries(size)) {
    if (side % multiple === 0) continue;
    const below = side - (side % multiple);
    throw new IpgraftError(
      'PIPELINE_REQUEST',
      `${name}: sought a multiple of ${multiple}, found ${side}`,
      { field: name, found: side, multiple },
      { hint: `Ask for ${below === 0 ? '' : `${below} or `}${below + multiple}.` },
    );
  }
  return size;
}
