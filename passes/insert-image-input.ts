import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { FloatType } from '../compiler/onnx/data-type.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import type { Graft } from './graft.js';
import { ImageBatch } from './image-batch.js';
import { type ImageStream, streamsOfAdapter } from './image-stream.js';
import { ADAPTER_SCOPE, adapterSuffix } from './names.js';

export interface ImageInputOptions {
  readonly textInput: ValueName;
  readonly grafts: readonly Graft[];
  readonly streams: readonly ImageStream[];
  /** The type of the text input. */
  readonly dataType: FloatType;
}

/**
 * Adds one input per adapter for its image tokens, `ip_hidden_states` [B or 1, T, C] (the tokens of several images behind each other),
 * and leaves the text input alone.
 * A batch of 1 is repeated for every row of the text; any other batch must be the text's.
 */
export function insertImageInput({ textInput, grafts, streams, dataType }: ImageInputOptions): Pass {
  return {
    name: 'insert-image-input',
    summary: 'adds an input for the image tokens of each adapter beside the text input',
    run(graph) {
      const fragment = new Fragment(new NodeNames(graph), ADAPTER_SCOPE);
      const batch = new ImageBatch(fragment, textInput);
      const inputs = grafts.map(({ tokens, images, tokenWidth }, adapter) => {
        const name = `ip_hidden_states${adapterSuffix(adapter)}`;
        batch.spread(name, tokenWidth, streamsOfAdapter(streams, adapter));
        return { name, dataType, shape: ['image_batch_size', tokens * images, tokenWidth] };
      });
      return [...inputs.map((input) => ({ kind: 'insert-input', input }) as const), ...fragment.edits(null)];
    },
  };
}
