import * as z from 'zod/mini';
import type { Values } from '../../session/session.js';
import { folderFault } from '../folder/inside.js';
import { BICUBIC, pillowResize } from './pillow-resize.js';
import type { RgbImage } from './rgb-image.js';

const count = z.int().check(z.positive());
const side = z.union([count, z.object({ shortest_edge: count }), z.object({ height: count, width: count })]);
const three = z.tuple([z.number(), z.number(), z.number()]);

/** Keys of `preprocessor_config.json`; what is missing is CLIP's own. */
const schema = z.object({
  do_resize: z._default(z.boolean(), true),
  size: z._default(side, { shortest_edge: 224 }),
  do_center_crop: z._default(z.boolean(), true),
  crop_size: z._default(z.union([count, z.object({ height: count, width: count })]), 224),
  do_rescale: z._default(z.boolean(), true),
  rescale_factor: z._default(z.number(), 1 / 255),
  do_normalize: z._default(z.boolean(), true),
  image_mean: z._default(three, [0.48145466, 0.4578275, 0.40821073]),
  image_std: z._default(three, [0.26862954, 0.26130258, 0.27577711]),
});

type Processor = z.infer<typeof schema>;

/**
 * A picture as CLIP's image encoder reads it, [1, 3, H, W]: its shorter side brought to 224 pixels, the middle cut out, colours normalised; other
 * numbers where the configuration has them. Source: transformers' `CLIPImageProcessor`, with Pillow's bicubic resizing to the bit.
 * @param config `preprocessor_config.json`; `null` for CLIP's own
 * @throws IpgraftError `MODEL_FOLDER_FILE` for a configuration that is none
 */
export async function clipPixels(image: RgbImage, config: unknown): Promise<Values> {
  const processor = read(config);
  const resized = processor.do_resize ? await resize(image, processor.size) : image;
  const crop = processor.crop_size;
  const [width, height] = !processor.do_center_crop
    ? [resized.width, resized.height]
    : typeof crop === 'number'
      ? [crop, crop]
      : [crop.width, crop.height];
  return { dims: [1, 3, height, width], data: normalised(resized, width, height, processor) };
}

function read(config: unknown): Processor {
  const found = schema.safeParse(config ?? {});
  if (found.success) return found.data;
  const [first] = found.error.issues;
  throw folderFault(
    'feature_extractor/preprocessor_config.json',
    `${first!.path.join('.')}: ${first!.message}`,
  );
}

async function resize(image: RgbImage, size: Processor['size']): Promise<RgbImage> {
  if (typeof size === 'object' && 'height' in size)
    return pillowResize(image, size.width, size.height, BICUBIC);
  const short = typeof size === 'number' ? size : size.shortest_edge;
  const { width, height } = image;
  const long = Math.trunc((short * Math.max(width, height)) / Math.min(width, height));
  return width <= height
    ? pillowResize(image, short, long, BICUBIC)
    : pillowResize(image, long, short, BICUBIC);
}

/** The middle, black around it where the picture is smaller, as numbers by channel. */
function normalised(
  { width: fromWidth, height: fromHeight, data }: RgbImage,
  width: number,
  height: number,
  {
    do_rescale: rescales,
    rescale_factor: factor,
    do_normalize: normalizes,
    image_mean: means,
    image_std: deviations,
  }: Processor,
): Float32Array {
  const left = offset(fromWidth, width);
  const top = offset(fromHeight, height);
  const out = new Float32Array(3 * width * height);
  for (let channel = 0; channel < 3; channel++) {
    const mean = Math.fround(means[channel]!);
    const deviation = Math.fround(deviations[channel]!);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const [fromX, fromY] = [x + left, y + top];
        const isInside = fromX >= 0 && fromX < fromWidth && fromY >= 0 && fromY < fromHeight;
        const value = isInside ? data[(fromY * fromWidth + fromX) * 3 + channel]! : 0;
        const scaled = rescales ? Math.fround(value * factor) : value;
        out[(channel * height + y) * width + x] = normalizes
          ? Math.fround(scaled - mean) / deviation
          : scaled;
      }
  }
  return out;
}

/** Where the middle begins; negative where the picture is smaller. */
function offset(from: number, to: number): number {
  return from >= to ? Math.floor((from - to) / 2) : -Math.ceil((to - from) / 2);
}
