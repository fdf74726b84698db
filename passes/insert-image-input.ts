import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { FloatType } from '../compiler/onnx/data-type.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { ImageBatch } from './image-batch.js';
import { ADAPTER_SCOPE, adapterSuffix, imageTokensOf } from './names.js';

export interface ImageInputOptions {
  readonly textInput: ValueName;
  /** C, the width of the text states. */
  readonly textWidth: number;
  /** T of each adapter. */
  readonly tokens: readonly number[];
  /** The type of the text input. */
  readonly dataType: FloatType;
}

/**
 * Adds one input per adapter for its image tokens, `ip_hidden_states` [B or 1, T, C], and leaves the text input alone.
 * A batch of 1 is repeated for every row of the text; any other batch must be the text's.
 */
export function insertImageInput({ textInput, textWidth, tokens, dataType }: ImageInputOptions): Pass {
  return {
    name: 'insert-image-input',
    summary: 'adds an input for the image tokens of each adapter beside the text input',
    run(graph) {
      const fragment = new Fragment(new NodeNames(graph), ADAPTER_SCOPE);
      const batch = new ImageBatch(fragment, textInput);
      const inputs = tokens.map((count, adapter) => {
        const name = `ip_hidden_states${adapterSuffix(adapter)}`;
        batch.spread(name, count, textWidth, imageTokensOf(adapter));
        return { name, dataType, shape: ['image_batch_size', count, textWidth] };
      });
      return [...inputs.map((input) => ({ kind: 'insert-input', input }) as const), ...fragment.edits(null)];
    },
  };
}
