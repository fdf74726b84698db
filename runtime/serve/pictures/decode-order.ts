import { IpgraftError } from '../../../compiler/errors.js';
import { decodeImage, imageSides } from '../../pipeline/images/decode-image.js';
import type { PictureRequest } from '../../pipeline/request.js';
import type { EncodedImage, PictureOrder } from './picture-order.js';

/** How much longer than the other a side may be: the shorter one is brought to the size that an encoder reads, and the longer one grows with it. */
const MOST_UNEQUAL = 64;

/**
 * Looks at the head of an image: whether it is one, and not too large. Its size, turned as its EXIF says.
 * @throws IpgraftError `PIPELINE_IMAGE`
 */
export async function checkImage({ field, bytes }: EncodedImage): Promise<{ width: number; height: number }> {
  const sides = await imageSides(bytes, field);
  const { width, height } = sides;
  if (Math.max(width, height) <= MOST_UNEQUAL * Math.min(width, height)) return sides;
  throw new IpgraftError(
    'PIPELINE_IMAGE',
    `${field}: one side is more than ${MOST_UNEQUAL} times as long as the other`,
    { field },
  );
}

/** Decodes the images of an order, one after the other. @throws IpgraftError `PIPELINE_IMAGE` */
export async function decodeOrder({
  request,
  initImage,
  mask,
  looks,
}: PictureOrder): Promise<PictureRequest> {
  const decoded = ({ field, bytes }: EncodedImage) => decodeImage(bytes, field);
  const all = async (images: readonly EncodedImage[]) => {
    const found = [];
    for (const image of images) found.push(await decoded(image));
    return found;
  };
  const adapters = [];
  for (const [i, { images, masks }] of looks.entries())
    adapters.push({ ...request.adapters[i]!, images: await all(images), masks: await all(masks) });
  return {
    ...request,
    adapters,
    ...(initImage && { initImage: await decoded(initImage) }),
    ...(mask && { mask: await decoded(mask) }),
  };
}
