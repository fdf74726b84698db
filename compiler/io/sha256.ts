import { createHash } from 'node:crypto';

/** A running SHA-256. */
export interface Digest {
  update(bytes: Uint8Array): void;
  /** 64 hexadecimal digits; ends the digest. */
  hex(): string;
}

/** Begins a digest. */
export function sha256(): Digest {
  const hash = createHash('sha256');
  return {
    update: (bytes) => void hash.update(bytes),
    hex: () => hash.digest('hex'),
  };
}
