import type { ByteSource } from './io/byte-source.js';
import { sha256 } from './io/sha256.js';
import type { Rope } from './wire/rope.js';

/**
 * SHA-256 of all that a model file says, with the length of each large tensor payload in the place of its bytes:
 * the identity of a graph without the price of reading gigabytes of weights. Equal files have equal fingerprints.
 */
export function fingerprint(file: Rope): string {
  const digest = sha256();
  for (const segment of file.segments) {
    if (segment.kind === 'loaded') digest.update(segment.bytes);
    else digest.update(new TextEncoder().encode(`[${segment.length} bytes]`));
  }
  return digest.hex();
}

/** What is digested at once: it stays in a processor's cache. Bytes. */
const CHUNK = 256 * 1024;

/** SHA-256 of every byte of a source. */
export async function contentDigest(source: ByteSource): Promise<string> {
  if (source.digest !== undefined) return source.digest();
  const digest = sha256();
  const buffer = new Uint8Array(Math.min(CHUNK, source.size));
  for (let offset = 0; offset < source.size; offset += CHUNK) {
    const chunk = buffer.subarray(0, Math.min(CHUNK, source.size - offset));
    await source.readInto(chunk, offset);
    digest.update(chunk);
  }
  return digest.hex();
}
