import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { fixturePath, WORK } from './fixtures.js';
import { type Reference, readReference, type Values } from './numbers.js';

/** A file of fixtures/kinds, unpacked. */
export function kindPath(name: string): string {
  const folder = join(WORK, 'kinds');
  const path = join(folder, name.replaceAll('/', '-'));
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, gunzipSync(readFileSync(fixturePath('kinds', `${name}.gz`))));
  return path;
}

export function kindReference(name: string): Promise<Reference> {
  return readReference(kindPath(`${name}.reference.safetensors`));
}

/** What a safetensors file says about itself: each entry is JSON or text. */
export function metadataOf(name: string): Record<string, string> {
  const bytes = readFileSync(kindPath(name));
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString()) as {
    __metadata__?: Record<string, string>;
  };
  return header.__metadata__ ?? {};
}

/** [B, n, T, C] → [B, n · T, C]: the tokens of all images behind each other. */
export function joined({ dims, data }: Values): Values {
  const [rows, images, tokens, width] = dims as [number, number, number, number];
  return { dims: [rows, images * tokens, width], data };
}

/** [B, 1, …] → [B, …]: one image has no axis of its own. */
export function single({ dims, data }: Values): Values {
  return { dims: [dims[0]!, ...dims.slice(2)], data };
}
