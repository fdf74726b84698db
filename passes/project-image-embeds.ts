import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { NewInput } from '../compiler/onnx/create.js';
import { DATA_TYPE, type FloatType } from '../compiler/onnx/data-type.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import type { Adapter } from './adapter/adapter.js';
import type { ImageProjection } from './adapter/image-projection.js';
import { projectImage } from './adapter/projection-graph.js';
import { ImageBatch } from './image-batch.js';
import { ADAPTER_SCOPE, adapterSuffix, imageTokensOf } from './names.js';

export interface ProjectOptions {
  readonly textInput: ValueName;
  readonly adapters: readonly Adapter[];
  /** The type of the text input, hence of the embeddings. */
  readonly dataType: FloatType;
}

/**
 * Puts each adapter's image projection into the graph: input `image_embeds` [B or 1, E] (pooled) or [B or 1, N, E] (hidden states),
 * as the image encoder gives them.
 */
export function projectImageEmbeds({ textInput, adapters, dataType }: ProjectOptions): Pass {
  return {
    name: 'project-image-embeds',
    summary: 'computes the image tokens inside the model from what the image encoder gives',
    run(graph) {
      const names = new NodeNames(graph);
      const shared = new Fragment(names, ADAPTER_SCOPE);
      const batch = new ImageBatch(shared, textInput);
      const projections: Edit[] = [];
      const inputs = adapters.map(({ projection, tokens, tokenWidth }, adapter): Edit => {
        const parameters = `image_proj${adapterSuffix(adapter)}`;
        const fragment = new Fragment(names, `/${parameters}`);
        const input = embeddingInput(projection, dataType, adapter);
        const asFloat = castTo(fragment, input.name, dataType, 'float');
        const projected = projectImage(fragment, asFloat, {
          projection,
          tokenWidth,
          opset: graph.opset,
          parameters,
        });
        batch.spread(
          castTo(fragment, projected, 'float', dataType),
          tokens,
          tokenWidth,
          imageTokensOf(adapter),
        );
        projections.push(...fragment.edits(null));
        return { kind: 'insert-input', input };
      });
      return [...inputs, ...projections, ...shared.edits(null)];
    },
  };
}

/** The input of an image projection. */
export function embeddingInput(projection: ImageProjection, dataType: FloatType, adapter = 0): NewInput {
  const { embeddingWidth, reads, family } = projection;
  const name = `image_embeds${adapterSuffix(adapter)}`;
  if (reads === 'pooled') return { name, dataType, shape: ['image_batch_size', embeddingWidth] };
  // Full-face makes a token of every feature, so their number is the number of tokens.
  const features = family === 'full-face' ? projection.tokens : `image_features${adapterSuffix(adapter)}`;
  return { name, dataType, shape: ['image_batch_size', features, embeddingWidth] };
}

function castTo(fragment: Fragment, value: ValueName, from: FloatType, to: FloatType): ValueName {
  return from === to ? value : fragment.node('Cast', [value], { attributes: { to: DATA_TYPE[to] } });
}
