import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { fixturePath, freshFolder } from '../fixtures.js';

/** fixtures/pipeline with its models unpacked: `onnx/`, `adapter.safetensors`, `reference.safetensors`. */
export function unpackPipeline(): string {
  const folder = freshFolder();
  cpSync(fixturePath('pipeline'), folder, { recursive: true });
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('.gz')) continue;
    const packed = join(folder, entry);
    writeFileSync(join(dirname(packed), 'model.onnx'), gunzipSync(readFileSync(packed)));
    rmSync(packed);
  }
  return folder;
}
