import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import type { Branch } from './branch.js';
import type { EmbedsScaling } from './embeds-scaling.js';
import { floatTensor } from './float-tensor.js';
import { adapterSuffix, imageProjectionOf, nodeScope } from './names.js';
import { type ScaleOptions, ScaleValues } from './scale-values.js';

export interface ScaleKvOptions {
  readonly branches: readonly Branch[];
  readonly scaling: Exclude<EmbedsScaling, 'v'>;
  readonly scales: ScaleOptions;
}

/** The width whose layers a penalty leaves as they are: the widest of SD1.x and SDXL. */
const PENALTY_WIDTH = 1280;

/**
 * Scales image keys and values instead of what the attention makes of them, so that the softmax itself gets flatter or sharper. With a
 * penalty, λ becomes λ · h / 1280; “mean” scales keys, and of the values only their mean μ over the tokens: `(V − μ) + λ · μ`.
 *
 * Source: the embeds scaling of cubiq/ComfyUI_IPAdapter_plus, CrossAttentionPatch.py.
 */
export function scaleImageKv({ branches, scaling, scales: options }: ScaleKvOptions): Pass {
  return {
    name: 'scale-image-kv',
    summary:
      'scales the image keys and values themselves, where the scale is not to be that of the attention’s result',
    run(graph) {
      const names = new NodeNames(graph);
      const scales = new ScaleValues(names, options);
      const sites = branches.flatMap((branch) => {
        const { attention, stream, projected } = branch;
        const { scope, width, dataType, exit } = attention;
        const fragment = new Fragment(names, `${nodeScope(scope)}/ip_kv${adapterSuffix(stream.index)}`);
        const penalty = scaling === 'k+v' ? 1 : width / PENALTY_WIDTH;
        const factor =
          scales.of(fragment, branch, penalty) ??
          fragment.tensor(floatTensor(`${scope}.ip_one${adapterSuffix(stream.index)}`, dataType, [], [1]));
        const scaled = (value: ValueName, output?: ValueName) =>
          fragment.node('Mul', [value, factor], output === undefined ? {} : { output });
        const [keys, values] = [
          imageProjectionOf(scope, 'k', stream.index),
          imageProjectionOf(scope, 'v', stream.index),
        ];
        scaled(keys, projected.k);
        if (scaling === 'k+mean-v-penalty') {
          const mean = meanOverTokens(fragment, graph, values);
          const deviation = fragment.node('Sub', [values, mean]);
          fragment.node('Add', [deviation, scaled(mean)], { output: projected.v });
        } else scaled(values, projected.v);
        return fragment.edits(exit.node);
      });
      return [...scales.edits, ...sites];
    },
  };
}

/** [B, T, h] → [B, 1, h]. Opset 18 made the axes an input. */
function meanOverTokens(fragment: Fragment, { opset }: Graph, values: ValueName): ValueName {
  return opset >= 18
    ? fragment.node('ReduceMean', [values, fragment.integers([1])])
    : fragment.node('ReduceMean', [values], { attributes: { axes: [1] } });
}
