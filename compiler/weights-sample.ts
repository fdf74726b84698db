import { sha256 } from './io/sha256.js';
import type { Rope } from './wire/rope.js';

/** What is read of each payload. Bytes. */
const SAMPLE = 256;

/**
 * SHA-256 of the bytes in the middle of every large payload, which a fingerprint leaves out: tells the weights of one training
 * from those of another without reading gigabytes. It does not see a change elsewhere in a tensor; only a comparison of all
 * bytes does.
 */
export async function sampleWeights(file: Rope): Promise<string> {
  const samples = await Promise.all(
    file.segments.map((segment) => {
      if (segment.kind !== 'stored') return new Uint8Array();
      const size = Math.min(SAMPLE, segment.length);
      return segment.source.read(segment.offset + Math.floor((segment.length - size) / 2), size);
    }),
  );
  const digest = sha256();
  for (const sample of samples) digest.update(sample);
  return digest.hex();
}
