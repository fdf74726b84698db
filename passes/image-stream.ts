import type { ValueName } from '../compiler/onnx/node.js';
import type { Graft } from './graft.js';
import { imageStatesOf, imageTokensOf } from './names.js';

/** Image tokens that are attended to together, under one softmax: those of all images of an adapter, or, with masks, of one image. */
export interface ImageStream {
  /** Its place among all streams, from 0: in the text input behind the text, and in `ip_mask`. */
  readonly index: number;
  /** Index of its adapter, from 0. */
  readonly adapter: number;
  /** How many tokens it has. */
  readonly tokens: number;
  /** C, or where they pass the linear layer of the text first, the width of the text input. */
  readonly tokenWidth: number;
  /** Where its tokens are once they are as wide as to_k_ip and to_v_ip read them, [B, T, C]. */
  readonly states: ValueName;
}

/**
 * The streams of the grafts, in their order. `stateWidth` is C: wider tokens are those that pass the text's own linear layer.
 * diffusers joins the images of an adapter into one softmax, where they compete, and attends to each image on its own when
 * there are masks.
 */
export function streamsOf(grafts: readonly Graft[], masks: boolean, stateWidth: number): ImageStream[] {
  return grafts
    .flatMap(({ tokens, images, tokenWidth }, adapter) =>
      masks
        ? Array.from({ length: images }, () => ({ adapter, tokens, tokenWidth }))
        : [{ adapter, tokens: tokens * images, tokenWidth }],
    )
    .map((stream, index) => ({
      ...stream,
      index,
      states: stream.tokenWidth === stateWidth ? imageTokensOf(index) : imageStatesOf(index),
    }));
}

/** The streams of one adapter. */
export function streamsOfAdapter(streams: readonly ImageStream[], adapter: number): ImageStream[] {
  return streams.filter((stream) => stream.adapter === adapter);
}
