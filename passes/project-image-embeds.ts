import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { NewInput } from '../compiler/onnx/create.js';
import type { FloatType } from '../compiler/onnx/data-type.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Dimension } from '../compiler/onnx/value-info.js';
import type { Pass } from '../compiler/pass.js';
import type { Adapter } from './adapter/adapter.js';
import type { ImageProjection } from './adapter/image-projection.js';
import { projectImage } from './adapter/projection-graph.js';
import { castTo } from './cast.js';
import { dimensionOf } from './dimension.js';
import { ImageBatch } from './image-batch.js';
import { type ImageStream, streamsOfAdapter } from './image-stream.js';
import { ADAPTER_SCOPE, adapterSuffix } from './names.js';

export interface ProjectOptions {
  readonly textInput: ValueName;
  /** With as many images each, in the order of the adapters. */
  readonly adapters: readonly { readonly adapter: Adapter; readonly images: number }[];
  readonly streams: readonly ImageStream[];
  /** The type of the text input, hence of the embeddings. */
  readonly dataType: FloatType;
}

/**
 * Puts each adapter's image projection into the graph: input `image_embeds` [B or 1, E] (pooled, or a face's) or [B or 1, N, E] (hidden
 * states), as the image encoder gives them, and `id_embeds` [B or 1, F] beside them for FaceID-Plus.
 */
export function projectImageEmbeds({ textInput, adapters, streams, dataType }: ProjectOptions): Pass {
  return {
    name: 'project-image-embeds',
    summary: 'computes the image tokens inside the model from what the image encoder gives',
    run(graph) {
      const names = new NodeNames(graph);
      const shared = new Fragment(names, ADAPTER_SCOPE);
      const batch = new ImageBatch(shared, textInput);
      const projections: Edit[] = [];
      const inputs = adapters.flatMap(({ adapter, images }, index): Edit[] => {
        const parameters = `image_proj${adapterSuffix(index)}`;
        const fragment = new Fragment(names, `/${parameters}`);
        const read = embeddingInputs(adapter.projection, dataType, index, images);
        const projected = projectImages(fragment, adapter, images, read, { opset: graph.opset, parameters });
        const tokens = castTo(fragment, projected, 'float', dataType);
        batch.spread(tokens, adapter.tokenWidth, streamsOfAdapter(streams, index));
        projections.push(...fragment.edits(null));
        return read.map((input): Edit => ({ kind: 'insert-input', input }));
      });
      return [...inputs, ...projections, ...shared.edits(null)];
    },
  };
}

/** The image tokens of all images, float32 [B, n · T, C], from the inputs that {@link embeddingInputs} describes. */
export function projectImages(
  fragment: Fragment,
  { projection, tokens, tokenWidth }: Adapter,
  images: number,
  inputs: readonly NewInput[],
  options: { opset: number; parameters: string },
): ValueName {
  const [embeddings, face] = inputs.map(({ name, shape, dataType }) =>
    castTo(fragment, oneByOne(fragment, name, shape, images), dataType as FloatType, 'float'),
  );
  const read = { embeddings: embeddings!, face: face ?? null };
  const projected = projectImage(fragment, read, { projection, ...options });
  if (images === 1) return projected;
  return fragment.node('Reshape', [projected, fragment.integers([-1, images * tokens, tokenWidth])]);
}

/** The inputs of an image projection: the embeddings, and the face's where it is read beside them. */
export function embeddingInputs(
  projection: ImageProjection,
  dataType: FloatType,
  adapter = 0,
  images = 1,
): [NewInput, ...NewInput[]] {
  const embeddings = embeddingInput(projection, dataType, adapter, images);
  if (projection.faceWidth === null) return [embeddings];
  const name = `id_embeds${adapterSuffix(adapter)}`;
  return [embeddings, { name, dataType, shape: ofImages(images, [projection.faceWidth]) }];
}

function embeddingInput(
  projection: ImageProjection,
  dataType: FloatType,
  adapter: number,
  images: number,
): NewInput {
  const { embeddingWidth, reads, family } = projection;
  const name = `image_embeds${adapterSuffix(adapter)}`;
  if (reads === 'pooled') return { name, dataType, shape: ofImages(images, [embeddingWidth]) };
  // Full-face makes a token of every feature, so their number is the number of tokens.
  const features = family === 'full-face' ? projection.tokens : `image_features${adapterSuffix(adapter)}`;
  return { name, dataType, shape: ofImages(images, [features, embeddingWidth]) };
}

/** One image has no axis of its own. */
function ofImages(images: number, shape: readonly Dimension[]): Dimension[] {
  return ['image_batch_size', ...(images === 1 ? [] : [images]), ...shape];
}

/** [B, n, …] → [B · n, …]: projections know one image. */
function oneByOne(
  fragment: Fragment,
  value: ValueName,
  shape: readonly Dimension[],
  images: number,
): ValueName {
  if (images === 1) return value;
  const width = shape.at(-1) as number;
  // Only the number of features may be unknown: it is copied.
  if (shape.length === 3) return fragment.node('Reshape', [value, fragment.integers([-1, width])]);
  const features = dimensionOf(fragment, value, 2);
  const target = fragment.node('Concat', [fragment.integers([-1]), features, fragment.integers([width])], {
    attributes: { axis: 0 },
  });
  return fragment.node('Reshape', [value, target]);
}
