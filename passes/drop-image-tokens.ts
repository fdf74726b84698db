import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { ADAPTER_SCOPE, TEXT_TOKENS } from './names.js';
import { refuseSubgraphReads } from './subgraph-reads.js';
import { ensureMoved, moveToTextPart, sliceTokens } from './text-part.js';

const NAME = 'drop-image-tokens';

/**
 * Makes a ControlNet take the same text input as the UNet beside it, [text ; image tokens], and use the text alone: the
 * image must not reach a ControlNet's cross-attentions.
 *
 * Source: `CNAttnProcessor` of tencent-ailab/IP-Adapter, which cuts the last `num_tokens` off.
 */
export function dropImageTokens(textInput: ValueName, tokens: number): Pass {
  return {
    name: NAME,
    summary: 'lets a ControlNet take text with image tokens behind it, and use the text alone',
    requires: (graph) => refuseSubgraphReads(graph, textInput),
    run(graph) {
      const fragment = new Fragment(new NodeNames(graph), ADAPTER_SCOPE);
      sliceTokens(fragment, textInput, 0, -tokens, { name: 'Slice_text', output: TEXT_TOKENS });
      return [...fragment.edits(null), ...moveToTextPart(graph, textInput, tokens)];
    },
    ensures: (before, after) => ensureMoved(NAME, before, after, textInput, tokens),
  };
}
