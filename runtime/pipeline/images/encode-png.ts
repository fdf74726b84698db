import { crc32 } from 'node:zlib';
import type { RgbImage } from './rgb-image.js';

/** Signature and header chunk of a PNG file. Bytes. */
const HEAD = 33;

/**
 * A picture as the bytes of a PNG file, with a text inside that other tools look for: chunk `tEXt`, or `iTXt` where Latin-1 does not have its
 * letters (PNG specification, 11.3.3).
 */
export async function encodePng(
  { width, height, data }: RgbImage,
  keyword: string,
  text: string,
): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  return Buffer.concat([png.subarray(0, HEAD), textChunk(keyword, text), png.subarray(HEAD)]);
}

function textChunk(keyword: string, text: string): Uint8Array {
  const isLatin1 = [...text].every((letter) => letter.codePointAt(0)! < 256);
  if (isLatin1) return chunk('tEXt', Buffer.from(`${keyword}\0${text}`, 'latin1'));
  // Not compressed, no language, no translated keyword.
  return chunk('iTXt', Buffer.concat([Buffer.from(`${keyword}\0\0\0\0\0`, 'latin1'), Buffer.from(text)]));
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
