import type { Fragment } from '../compiler/edit/fragment.js';
import type { ValueName } from '../compiler/onnx/node.js';

/**
 * Gives image tokens the batch of the text: one image serves every row, as many images as rows serve a row each, and
 * anything else is refused at run time (the Reshape has another number of elements) instead of mixing images.
 */
export class ImageBatch {
  private readonly fragment: Fragment;
  private readonly textInput: ValueName;
  private cachedBatch: ValueName | undefined;

  constructor(fragment: Fragment, textInput: ValueName) {
    this.fragment = fragment;
    this.textInput = textInput;
  }

  /** `tokens` [B or 1, T, C] → `output` [B, T, C]. */
  spread(tokens: ValueName, count: number, width: number, output: ValueName): void {
    const { fragment } = this;
    const one = fragment.integers([1]);
    const target = fragment.node('Concat', [this.batch, one, one], { attributes: { axis: 0 } });
    const spread = fragment.node('Expand', [tokens, target]);
    const shape = fragment.node('Concat', [this.batch, fragment.integers([count, width])], {
      attributes: { axis: 0 },
    });
    fragment.node('Reshape', [spread, shape], { output });
  }

  private get batch(): ValueName {
    if (this.cachedBatch === undefined) {
      const shape = this.fragment.node('Shape', [this.textInput]);
      const [zero, one] = [this.fragment.integers([0]), this.fragment.integers([1])];
      this.cachedBatch = this.fragment.node('Slice', [shape, zero, one, zero]);
    }
    return this.cachedBatch;
  }
}
