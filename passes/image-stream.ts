import type { Graft } from './graft.js';

/** Image tokens that are attended to together, under one softmax: those of all images of an adapter, or, with masks, of one image. */
export interface ImageStream {
  /** Its place among all streams, from 0: in the text input behind the text, and in `ip_mask`. */
  readonly index: number;
  /** Index of its adapter, from 0. */
  readonly adapter: number;
  /** How many tokens it has. */
  readonly tokens: number;
}

/**
 * The streams of the grafts, in their order. diffusers joins the images of an adapter into one softmax, where they compete, and attends
 * to each image on its own when there are masks.
 */
export function streamsOf(grafts: readonly Graft[], masks: boolean): ImageStream[] {
  return grafts
    .flatMap(({ tokens, images }, adapter) =>
      masks
        ? Array.from({ length: images }, () => ({ adapter, tokens }))
        : [{ adapter, tokens: tokens * images }],
    )
    .map((stream, index) => ({ ...stream, index }));
}

/** The streams of one adapter. */
export function streamsOfAdapter(streams: readonly ImageStream[], adapter: number): ImageStream[] {
  return streams.filter((stream) => stream.adapter === adapter);
}
