import { Turns } from '../turns.js';
import type { RgbImage } from './rgb-image.js';

/** A filter by which pixels are weighed: how far it reaches in source pixels, and its weight at a distance. */
export interface ResizeFilter {
  readonly support: number;
  weight(distance: number): number;
}

/** Keys' cubic convolution with A = −0.5, Pillow's `BICUBIC`. */
export const BICUBIC: ResizeFilter = {
  support: 2,
  weight(distance) {
    const x = Math.abs(distance);
    const a = -0.5;
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
  },
};

/** sinc windowed by its own first three lobes, Pillow's `LANCZOS`. */
export const LANCZOS: ResizeFilter = {
  support: 3,
  weight: (distance) => (distance >= -3 && distance < 3 ? sinc(distance) * sinc(distance / 3) : 0),
};

/** Bits behind the point of a weight as Pillow computes with it. */
const PRECISION = 22;

/** The source pixels of one target pixel, and their weights. */
interface Window {
  readonly begin: number;
  readonly weights: Int32Array;
}

/**
 * Resizes a picture as Pillow's `Image.resize` does, to the bit: along rows and along columns, each pass in whole numbers with weights of
 * 22 bits and rounded to 8. Others get their turns meanwhile: large pictures take seconds. When a picture shrinks the filter grows with it, which keeps patterns from appearing that are not there.
 *
 * Source: Pillow's `Resample.c`. Since Pillow 13 columns come first where the height loses more than twice what the width does; before,
 * rows always did.
 */
export async function pillowResize(
  image: RgbImage,
  width: number,
  height: number,
  filter: ResizeFilter,
): Promise<RgbImage> {
  const toWidth = async (from: RgbImage): Promise<RgbImage> =>
    from.width === width
      ? from
      : { width, height: from.height, data: await alongRows(from, windows(from.width, width, filter)) };
  const toHeight = async (from: RgbImage): Promise<RgbImage> =>
    from.height === height
      ? from
      : { width: from.width, height, data: await alongColumns(from, windows(from.height, height, filter)) };
  const columnsFirst = height < image.height && image.height - height > 2 * (image.width - width);
  return columnsFirst ? toWidth(await toHeight(image)) : toHeight(await toWidth(image));
}

function windows(size: number, target: number, { support, weight }: ResizeFilter): Window[] {
  const scale = size / target;
  const spread = Math.max(scale, 1);
  const reach = support * spread;
  return Array.from({ length: target }, (_, at) => {
    const center = (at + 0.5) * scale;
    const begin = Math.max(Math.trunc(center - reach + 0.5), 0);
    const end = Math.min(Math.trunc(center + reach + 0.5), size);
    const weights = Array.from({ length: end - begin }, (_, i) =>
      weight((i + begin - center + 0.5) / spread),
    );
    const sum = weights.reduce((total, each) => total + each, 0);
    return { begin, weights: Int32Array.from(weights, (each) => fixed(each / sum)) };
  });
}

/** As C rounds a double that it cuts off: half away from zero. */
function fixed(weight: number): number {
  return Math.trunc(weight * 2 ** PRECISION + (weight < 0 ? -0.5 : 0.5));
}

async function alongRows({ width, height, data }: RgbImage, targets: readonly Window[]): Promise<Uint8Array> {
  const out = new Uint8Array(targets.length * height * 3);
  const turns = new Turns();
  for (let y = 0; y < height; y++) {
    if (turns.isDue) await turns.give();
    for (const [x, window] of targets.entries())
      weigh(data, (y * width + window.begin) * 3, 3, window.weights, out, (y * targets.length + x) * 3);
  }
  return out;
}

async function alongColumns({ width, data }: RgbImage, targets: readonly Window[]): Promise<Uint8Array> {
  const out = new Uint8Array(width * targets.length * 3);
  const turns = new Turns();
  for (const [y, window] of targets.entries()) {
    if (turns.isDue) await turns.give();
    for (let x = 0; x < width; x++)
      weigh(data, (window.begin * width + x) * 3, width * 3, window.weights, out, (y * width + x) * 3);
  }
  return out;
}

/** The three colours of one pixel. */
function weigh(
  data: Uint8Array,
  begin: number,
  stride: number,
  weights: Int32Array,
  out: Uint8Array,
  at: number,
): void {
  let red = 1 << (PRECISION - 1);
  let green = red;
  let blue = red;
  for (let i = 0, from = begin; i < weights.length; i++, from += stride) {
    const weight = weights[i]!;
    red += data[from]! * weight;
    green += data[from + 1]! * weight;
    blue += data[from + 2]! * weight;
  }
  out[at] = clamped(red);
  out[at + 1] = clamped(green);
  out[at + 2] = clamped(blue);
}

function clamped(sum: number): number {
  return Math.min(Math.max(sum >> PRECISION, 0), 255);
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
