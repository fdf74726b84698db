import { encodePng } from '../../pipeline/images/encode-png.js';
import { PARAMETERS_KEYWORD } from '../../pipeline/images/parameters-text.js';
import type { RgbImage } from '../../pipeline/images/rgb-image.js';

/** How pictures are sent. */
export interface PictureFormat {
  readonly format: 'png' | 'jpeg' | 'webp';
  /** Of JPEG and WebP: 0 to 100. */
  readonly quality: number;
}

/** A picture as a file in base64, which in PNG says what it was made of. */
export async function encodePicture(
  image: RgbImage,
  { format, quality }: PictureFormat,
  parameters: string,
): Promise<string> {
  if (format === 'png') return base64(await encodePng(image, PARAMETERS_KEYWORD, parameters));
  const { default: sharp } = await import('sharp');
  const { width, height, data } = image;
  const raw = { width, height, channels: 3 } as const;
  return base64(
    await sharp(data, { raw })
      [format]({ quality: Math.max(quality, 1) })
      .toBuffer(),
  );
}

/** A rough small picture brought to the size of the picture that it announces. */
export async function enlarge(
  { width, height, data }: RgbImage,
  to: { width: number; height: number },
): Promise<RgbImage> {
  const { default: sharp } = await import('sharp');
  const raw = { width, height, channels: 3 } as const;
  const grown = await sharp(data, { raw }).resize(to.width, to.height, { fit: 'fill' }).raw().toBuffer();
  return { ...to, data: new Uint8Array(grown.buffer, grown.byteOffset, grown.length) };
}

/** A rough small picture as a PNG in base64. */
export async function encodePreview({ width, height, data }: RgbImage): Promise<string> {
  const { default: sharp } = await import('sharp');
  return base64(
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer(),
  );
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}
