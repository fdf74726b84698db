import type { ByteSource } from './io/byte-source.js';
import { sha256 } from './io/sha256.js';

/** Where a tensor's bytes lie. */
export interface StoredRange {
  readonly source: ByteSource;
  readonly offset: number;
  readonly length: number;
}

/** What is read of each tensor. Bytes. */
const SAMPLE = 256;

/**
 * SHA-256 of the bytes in the middle of each range, in the order in which they lie: tells the weights of one training from those of another
 * without reading gigabytes. It does not see a change elsewhere in a tensor; only a comparison of all bytes does.
 */
export async function sampleWeights(ranges: readonly StoredRange[]): Promise<string> {
  const samples = await Promise.all(
    ranges
      .toSorted((a, b) => a.offset - b.offset)
      .map(({ source, offset, length }) => {
        const size = Math.min(SAMPLE, length);
        return source.read(offset + Math.floor((length - size) / 2), size);
      }),
  );
  const digest = sha256();
  for (const sample of samples) digest.update(sample);
  return digest.hex();
}
