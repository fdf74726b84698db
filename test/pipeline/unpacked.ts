import { unpackFolders } from '../../fixtures/unpack-folders.js';
import { fixturePath, freshFolder } from '../fixtures.js';

/** fixtures/pipeline with its models unpacked: `onnx/`, `adapter.safetensors`, `reference.safetensors`. */
export function unpackPipeline(): string {
  const folder = freshFolder();
  unpackFolders([fixturePath('pipeline')], folder);
  return folder;
}
