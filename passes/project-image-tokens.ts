import type { Edit } from '../compiler/edit/edit.js';
import { NodeNames } from '../compiler/edit/fragment.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import type { ImageStream } from './image-stream.js';
import { ADAPTER_SCOPE, adapterSuffix, imageTokensOf, TEXT_TOKENS } from './names.js';

export interface ProjectTokensOptions {
  readonly textInput: ValueName;
  /** The linear layer of the text, by the values of its nodes. */
  readonly textLinear: readonly ValueName[];
  readonly streams: readonly ImageStream[];
}

/**
 * Sends image tokens that are as wide as the text input through the linear layer that the text passes first: what Kolors' FaceID does, whose
 * tokens stand behind the text in front of `encoder_hid_proj`. Tokens that are as wide as what comes out of it go around it.
 */
export function projectImageTokens({ textInput, textLinear, streams }: ProjectTokensOptions): Pass {
  return {
    name: 'project-image-tokens',
    summary: 'sends image tokens as wide as the text through the linear layer that the text passes first',
    run(graph) {
      const names = new NodeNames(graph);
      return streams
        .filter(({ index, states }) => states !== imageTokensOf(index))
        .flatMap(({ index, states }): Edit[] => {
          const image = new Map([textInput, TEXT_TOKENS].map((text) => [text, imageTokensOf(index)]));
          return textLinear.map((id): Edit => {
            const node = graph.producer(id)!;
            const name = names.claim(`${ADAPTER_SCOPE}/${node.opType}_states${adapterSuffix(index)}`);
            const output = id === textLinear.at(-1) ? states : `${name}_output_0`;
            const inputs = node.inputs.map((input) => image.get(input) ?? input);
            image.set(id, output);
            return {
              kind: 'insert-node',
              node: { cloneOf: id, name, inputs, outputs: [output] },
              before: textLinear[0]!,
            };
          });
        });
    },
  };
}
