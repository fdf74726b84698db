import { decodeFloats, floatTypeOf } from '../compiler/checkpoint/number-format.js';
import { openCheckpoint } from '../compiler/checkpoint/open-checkpoint.js';
import { openFile } from '../compiler/io/file-source.js';
import type { Values } from '../runtime/session/session.js';
import { type AdapterKind, fixturePath, type UnetFamily } from './fixtures.js';

export { largestDifference } from '../runtime/validate/largest-difference.js';
export type { Values };

/** What diffusers computed: inputs, image tokens and outputs, by name (see fixtures/README.md). */
export interface Reference {
  get(name: string): Values;
  has(name: string): boolean;
  names(): string[];
}

const cache = new Map<string, Promise<Reference>>();

export function reference(family: UnetFamily, kind: AdapterKind): Promise<Reference> {
  const path = fixturePath('reference', `${family}-${kind}.safetensors`);
  let known = cache.get(path);
  if (known === undefined) {
    known = readReference(path);
    cache.set(path, known);
  }
  return known;
}

export async function readReference(path: string): Promise<Reference> {
  const source = await openFile(path);
  const { tensors } = await openCheckpoint(source);
  const values = new Map<string, Values>();
  for (const [name, tensor] of tensors) {
    const bytes = await tensor.read();
    const data =
      tensor.dtype === 'I64'
        ? Float32Array.from(new BigInt64Array(bytes.slice().buffer), Number)
        : decodeFloats(bytes, floatTypeOf(tensor.dtype, name)).slice();
    values.set(name, { dims: tensor.shape, data });
  }
  await source.close();
  return {
    get(name) {
      const found = values.get(name);
      if (found === undefined) throw new Error(`${path} has no ${name}`);
      return found;
    },
    has: (name) => values.has(name),
    names: () => [...values.keys()],
  };
}

/** [text ; image] along the token axis: [B, L, C] and [B, T, C] → [B, L + T, C]. */
export function appendTokens(text: Values, image: Values): Values {
  const [batch, length, width] = text.dims as [number, number, number];
  const tokens = image.dims.at(-2)!;
  const data = new Float32Array(batch * (length + tokens) * width);
  for (let row = 0; row < batch; row++) {
    const at = row * (length + tokens) * width;
    data.set(text.data.subarray(row * length * width, (row + 1) * length * width), at);
    data.set(image.data.subarray(row * tokens * width, (row + 1) * tokens * width), at + length * width);
  }
  return { dims: [batch, length + tokens, width], data };
}
