import { createHash, webcrypto } from 'node:crypto';
import type { Tensor } from '../tensor.js';

/**
 * SHA-256 of what is asked of a model: the outputs' names, and name, datatype, shape and bytes of each input, in whatever order they came. Tensors
 * are digested by another thread.
 */
export async function requestDigest(inputs: readonly Tensor[], outputs: readonly string[]): Promise<string> {
  const described = await Promise.all(
    inputs.map(
      async ({ name, datatype, shape, data }) => [name, datatype, shape, await digest(data)] as const,
    ),
  );
  described.sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([outputs, described]))
    .digest('hex');
}

async function digest(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)).toString(
    'hex',
  );
}
