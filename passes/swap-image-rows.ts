import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { FloatType } from '../compiler/onnx/data-type.js';
import type { Pass } from '../compiler/pass.js';
import { dimensionOf } from './dimension.js';
import { floatTensor } from './float-tensor.js';
import type { ImageStream } from './image-stream.js';
import { ADAPTER_SCOPE, swappedStatesOf } from './names.js';

/**
 * Makes of each stream a second one for the layers that are pushed away from the image: the negative rows, which come first, get the image
 * tokens of the positive rows, and the positive rows zeros, which add nothing. A batch that is not guided has no negative rows.
 *
 * Source: the “precise” weight types of cubiq/ComfyUI_IPAdapter_plus, CrossAttentionPatch.py.
 */
export function swapImageRows(streams: readonly ImageStream[], dataType: FloatType): Pass {
  return {
    name: 'swap-image-rows',
    summary:
      'gives the negative rows the image tokens of the positive ones, for layers that are to move away from the image',
    run(graph) {
      const fragment = new Fragment(new NodeNames(graph), `${ADAPTER_SCOPE}/swap`);
      const [zero, two] = [fragment.integers([0]), fragment.integers([2])];
      const nothing = fragment.tensor(floatTensor(`${ADAPTER_SCOPE}/swap/zero`, dataType, [], [0]));
      for (const { index, states } of streams) {
        const rows = dimensionOf(fragment, states, 0);
        const negative = fragment.node('Div', [rows, two]);
        const positive = fragment.node('Sub', [rows, negative]);
        // The last rows as many as there are negative ones; then as many zeros as there are positive ones.
        const image = fragment.node('Slice', [states, positive, rows, zero]);
        const zeros = fragment.node('Mul', [fragment.node('Slice', [states, negative, rows, zero]), nothing]);
        fragment.node('Concat', [image, zeros], { attributes: { axis: 0 }, output: swappedStatesOf(index) });
      }
      return fragment.edits(null);
    },
  };
}
