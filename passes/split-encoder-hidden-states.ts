import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Dimension } from '../compiler/onnx/value-info.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import { ADAPTER_SCOPE, imageTokensOf, TEXT_TOKENS } from './names.js';
import { refuseSubgraphReads } from './subgraph-reads.js';

const NAME = 'split-encoder-hidden-states';
const TOKEN_AXIS = 1;
/** Slice's “to the end”. */
const END = 2 ** 53 - 1;

export interface SplitOptions {
  readonly textInput: ValueName;
  /** C, the width of the text states. */
  readonly textWidth: number;
  /** T of each adapter, in the order in which their tokens follow the text. */
  readonly tokens: readonly number[];
}

/**
 * Makes the text input carry [text ; image tokens of adapter 1 ; of adapter 2 …] along its token axis and takes it apart.
 * **Every** reading of the input moves to the text part, `Shape` too: one Shape may carry batch and token count to all
 * blocks. A static token count in the input's declared shape grows by the image tokens, a symbolic one says so in its name.
 * A caller that brings fewer tokens than the adapters need is refused at run time by the Reshape behind each slice.
 */
export function splitEncoderHiddenStates({ textInput, textWidth, tokens }: SplitOptions): Pass {
  const total = tokens.reduce((sum, count) => sum + count, 0);
  return {
    name: NAME,
    summary:
      'takes the text input apart into text tokens and image tokens, and moves every reading of it to the text part',
    requires: (graph) => refuseSubgraphReads(graph, textInput),
    run(graph) {
      const fragment = new Fragment(new NodeNames(graph), ADAPTER_SCOPE);
      const axis = fragment.integers([TOKEN_AXIS]);
      const slice = (from: number, to: number, name: string, output?: ValueName) =>
        fragment.node('Slice', [textInput, fragment.integers([from]), fragment.integers([to]), axis], {
          name,
          ...(output && { output }),
        });
      slice(0, -total, 'Slice_text', TEXT_TOKENS);
      let left = total;
      tokens.forEach((count, adapter) => {
        const part = slice(-left, left === count ? END : count - left, `Slice_image_${adapter + 1}`);
        left -= count;
        // Copies the batch, insists on the rest.
        const shape = fragment.integers([0, count, textWidth]);
        fragment.node('Reshape', [part, shape], {
          name: `Reshape_image_${adapter + 1}`,
          output: imageTokensOf(adapter),
        });
      });
      const rewires = graph.uses(textInput).map(
        ({ node, input }): Edit => ({
          kind: 'rewire',
          node: node.id,
          input,
          from: textInput,
          to: TEXT_TOKENS,
        }),
      );
      return [...fragment.edits(null), ...rewires, ...growInput(graph, textInput, total)];
    },
    ensures(before, after) {
      if (after.uses(textInput).some(({ node }) => node.place !== null))
        throw broken(NAME, `a node still reads all of ${textInput}`);
      if (after.uses(TEXT_TOKENS).length !== before.uses(textInput).length)
        throw broken(NAME, 'a reading of the text was lost');
      const grown = grow(tokenDimension(before, textInput), total);
      if (tokenDimension(after, textInput) !== grown)
        throw broken(NAME, `the token count of ${textInput} did not grow`);
    },
  };
}

function tokenDimension(graph: Graph, textInput: ValueName): Dimension {
  return graph.inputs.get(textInput)?.shape?.[TOKEN_AXIS] ?? null;
}

function growInput(graph: Graph, textInput: ValueName, total: number): Edit[] {
  const from = tokenDimension(graph, textInput);
  const to = grow(from, total);
  return from === to ? [] : [{ kind: 'set-input-dimension', input: textInput, axis: TOKEN_AXIS, from, to }];
}

/** Inner values keep the symbol as the length of the text alone, so the input must not bear it any more. */
function grow(dimension: Dimension, total: number): Dimension {
  if (dimension === null) return null;
  return typeof dimension === 'number' ? dimension + total : `${dimension} + ${total}`;
}
