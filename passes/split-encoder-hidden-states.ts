import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import type { ImageStream } from './image-stream.js';
import { ADAPTER_SCOPE, imageTokensOf, TEXT_TOKENS } from './names.js';
import { refuseSubgraphReads } from './subgraph-reads.js';
import { END, ensureMoved, moveToTextPart, sliceTokens } from './text-part.js';

const NAME = 'split-encoder-hidden-states';

/** What to split, and into what. */
export interface SplitOptions {
  readonly textInput: ValueName;
  /** The width of the input. */
  readonly inputWidth: number;
  /** In the order in which their tokens follow the text. */
  readonly streams: readonly ImageStream[];
}

/**
 * Makes the text input carry [text ; image tokens of adapter 1 ; of adapter 2 …] along its token axis and takes it apart.
 * Every reading of the input moves to the text part. A caller that brings fewer tokens than the adapters need is refused at
 * run time by the Reshape behind each slice.
 */
export function splitEncoderHiddenStates({ textInput, inputWidth, streams }: SplitOptions): Pass {
  const total = streams.reduce((sum, { tokens }) => sum + tokens, 0);
  return {
    name: NAME,
    summary:
      'takes the text input apart into text tokens and image tokens, and moves every reading of it to the text part',
    requires: (graph) => refuseSubgraphReads(graph, textInput),
    run(graph) {
      const fragment = new Fragment(new NodeNames(graph), ADAPTER_SCOPE);
      sliceTokens(fragment, textInput, 0, -total, { name: 'Slice_text', output: TEXT_TOKENS });
      let left = total;
      for (const { index, tokens: count } of streams) {
        const name = `Slice_image_${index + 1}`;
        const part = sliceTokens(fragment, textInput, -left, left === count ? END : count - left, { name });
        left -= count;
        // Copies the batch, insists on the rest.
        const shape = fragment.integers([0, count, inputWidth]);
        fragment.node('Reshape', [part, shape], {
          name: `Reshape_image_${index + 1}`,
          output: imageTokensOf(index),
        });
      }
      return [...fragment.edits(null), ...moveToTextPart(graph, textInput, total)];
    },
    ensures: (before, after) => ensureMoved(NAME, before, after, textInput, total),
  };
}
