import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Sharp } from 'sharp';
import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import { Turns } from '../turns.js';
import type { RgbImage } from './rgb-image.js';

/** A picture of 64 megapixels takes 200 MB once decoded. */
export const MOST_PIXELS = 64_000_000;

/** Larger files hold no picture of that size. Bytes. */
const LONGEST_FILE = 512 * 1024 * 1024;

/**
 * How files of the formats begin that are read: `?` is any byte. No others are shown to the decoder: what can refer to other files (SVG), or
 * runs programs (PDF), is no picture here.
 */
const BEGINNINGS: readonly string[] = [
  '\x89PNG\r\n\x1a\n',
  '\xff\xd8\xff',
  'RIFF????WEBP',
  'GIF87a',
  'GIF89a',
  'II*\0',
  'MM\0*',
  '????ftypavif',
  '????ftypavis',
];

/**
 * Decodes an image file: PNG, JPEG, WebP, AVIF, TIFF or GIF (its first picture), turned as its EXIF says, in sRGB without transparency.
 * @throws IpgraftError `OPTION_FILE_MISSING`, `PIPELINE_IMAGE`
 */
export async function readImage(path: string): Promise<RgbImage> {
  const name = basename(path);
  const bytes = await readFile(path).catch((cause) => {
    throw new IpgraftError(
      'OPTION_FILE_MISSING',
      `${printable(name)} cannot be read`,
      { file: name },
      { cause },
    );
  });
  return decodeImage(bytes, name);
}

/**
 * Decodes the bytes of an image as {@link readImage}.
 * @param name of it, for messages
 * @throws IpgraftError `PIPELINE_IMAGE` for what is no image of a known format, is damaged, or has more than 64 megapixels
 */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<RgbImage> {
  return withSharp(bytes, name, async (image) => {
    const { data, info } = await image
      .rotate()
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { buffer, byteOffset, length } = data;
    const pixels = new Uint8Array(buffer, byteOffset, length);
    return {
      width: info.width,
      height: info.height,
      data: info.channels === 1 ? await spread(pixels) : pixels,
    };
  });
}

/**
 * The size that {@link decodeImage} would give, by the head of the file alone.
 * @throws IpgraftError `PIPELINE_IMAGE` as {@link decodeImage}, but for damage behind the head
 */
export async function imageSides(
  bytes: Uint8Array,
  name: string,
): Promise<{ readonly width: number; readonly height: number }> {
  return withSharp(bytes, name, async (image) => (await image.metadata()).autoOrient);
}

async function withSharp<T>(bytes: Uint8Array, name: string, work: (image: Sharp) => Promise<T>): Promise<T> {
  if (bytes.length > LONGEST_FILE || !BEGINNINGS.some((beginning) => beginsWith(bytes, beginning)))
    throw refusal(name, 'it is no image that can be read');
  const { default: sharp } = await import('sharp');
  try {
    return await work(sharp(bytes, { limitInputPixels: MOST_PIXELS, failOn: 'error', pages: 1 }));
  } catch (cause) {
    const { message } = cause as Error;
    throw refusal(
      name,
      /pixel limit/.test(message) ? 'it has more than 64 megapixels' : 'it cannot be decoded',
      cause,
    );
  }
}

/** Grey as red, green and blue. */
async function spread(grey: Uint8Array): Promise<Uint8Array> {
  const data = new Uint8Array(grey.length * 3);
  const turns = new Turns();
  for (let i = 0; i < grey.length; i++) {
    if (i % 65_536 === 0 && turns.isDue) await turns.give();
    data[3 * i] = grey[i]!;
    data[3 * i + 1] = grey[i]!;
    data[3 * i + 2] = grey[i]!;
  }
  return data;
}

function beginsWith(bytes: Uint8Array, beginning: string): boolean {
  return [...beginning].every((letter, i) => letter === '?' || bytes[i] === letter.charCodeAt(0));
}

function refusal(name: string, why: string, cause?: unknown): IpgraftError {
  const file = printable(name);
  return new IpgraftError('PIPELINE_IMAGE', `${file}: ${why}`, { file }, { cause });
}
