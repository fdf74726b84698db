import { MASK_INPUT } from '../../passes/insert-image-mask.js';
import { SCALE_INPUT } from '../../passes/scale-values.js';
import type { TensorMetadata } from '../serve/tensor.js';

/** Of what size a sample request is. */
export interface SampleSize {
  readonly rows: number;
  /** Of the picture. Pixels; its latents have an eighth. */
  readonly height: number;
  readonly width: number;
  /** Image tokens behind the text. */
  readonly tokensBehindText: number;
}

/** CLIP's text tokens, the side of its pictures, and the features that it makes of one. */
const TEXT_TOKENS = 77;
const ENCODER_SIDE = 224;
const ENCODER_FEATURES = 257;
const LATENT_SCALE = 8;

/** A shape that a model takes: its own fixed sizes, and for each free one what its name and its place say. */
export function sampleShape({ name, shape }: TensorMetadata, size: SampleSize): number[] {
  return shape.map((dimension, axis) =>
    dimension === -1 ? freeSize(name, shape.length, axis, size) : dimension,
  );
}

function freeSize(
  name: string,
  rank: number,
  axis: number,
  { rows, height, width, tokensBehindText }: SampleSize,
): number {
  if (name === MASK_INPUT && axis === 1) return 1;
  if (axis === 0 || (name === SCALE_INPUT && axis === 1)) return rows;
  if (rank >= 4) {
    const side = axis === rank - 2 ? height : width;
    if (name === 'pixel_values') return ENCODER_SIDE;
    return /cond|mask/.test(name) ? side : side / LATENT_SCALE;
  }
  if (/^image_embeds/.test(name)) return ENCODER_FEATURES;
  return TEXT_TOKENS + tokensBehindText;
}
