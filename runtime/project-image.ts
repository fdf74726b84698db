import { type WriteOptions, writeFiles } from '../compiler/io/write-files.js';
import type { Rope } from '../compiler/wire/rope.js';
import type { Adapter } from '../passes/adapter/adapter.js';
import { imageProjection } from '../passes/image-projection.js';
import { embeddingInputs } from '../passes/project-image-embeds.js';
import { fillSkeleton } from './skeleton.js';

/**
 * An adapter's image projection as a model of its own: `image_embeds` (and `id_embeds`, for FaceID-Plus) → `ip_hidden_states` [B, T, C],
 * float32. Run once per image; its result is what a model compiled with `--tokens input` or `split` takes.
 */
export function projectionModel(adapter: Adapter): Promise<Rope> {
  const inputs = embeddingInputs(adapter.projection, 'float');
  const [embeddings, face] = inputs;
  const shape = ['image_batch_size', adapter.tokens, adapter.tokenWidth];
  const pass = imageProjection(adapter, { embeddings: embeddings.name, face: face?.name ?? null });
  return fillSkeleton(
    'image_projection',
    inputs,
    { name: 'ip_hidden_states', dataType: 'float', shape },
    pass,
  );
}

/** Writes {@link projectionModel} to a file. @throws IpgraftError `OUTPUT_*` */
export async function writeProjection(
  adapter: Adapter,
  path: string,
  options: WriteOptions = {},
): Promise<{ bytes: number }> {
  const model = await projectionModel(adapter);
  await writeFiles([{ path, content: model }], options);
  return { bytes: model.length };
}
