import type { Fragment } from '../compiler/edit/fragment.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { ImageStream } from './image-stream.js';
import { imageTokensOf } from './names.js';
import { sliceTokens } from './text-part.js';

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

  /** `tokens` [B or 1, T, C] → the streams' tokens, [B, T₁, C], [B, T₂, C], …, that lie behind each other in it. */
  spread(tokens: ValueName, width: number, streams: readonly ImageStream[]): void {
    const { fragment } = this;
    const count = streams.reduce((sum, stream) => sum + stream.tokens, 0);
    const one = fragment.integers([1]);
    const target = fragment.node('Concat', [this.batch, one, one], { attributes: { axis: 0 } });
    const spread = fragment.node('Expand', [tokens, target]);
    const shape = fragment.node('Concat', [this.batch, fragment.integers([count, width])], {
      attributes: { axis: 0 },
    });
    const [first, ...more] = streams;
    if (more.length === 0) {
      fragment.node('Reshape', [spread, shape], { output: imageTokensOf(first!.index) });
      return;
    }
    const all = fragment.node('Reshape', [spread, shape]);
    let begin = 0;
    for (const stream of streams) {
      sliceTokens(fragment, all, begin, begin + stream.tokens, {
        name: `Slice_image_${stream.index + 1}`,
        output: imageTokensOf(stream.index),
      });
      begin += stream.tokens;
    }
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
