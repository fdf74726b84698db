import type { ValueName } from '../compiler/onnx/node.js';
import type { Segment } from '../compiler/wire/rope.js';
import type { EmbedsScaling } from './embeds-scaling.js';
import type { Graft } from './graft.js';
import type { ImageStream } from './image-stream.js';
import type { CrossAttention } from './locate-cross-attention.js';
import { imageProjectionOf, type Projected, scaledProjectionOf, swappedStatesOf } from './names.js';
import type { Scale } from './scale.js';
import type { LayerWeight } from './weight-types.js';

/** The branch of one stream of image tokens at one cross-attention. */
export interface Branch {
  readonly attention: CrossAttention;
  readonly stream: ImageStream;
  /** The tokens that it reads, [B, T, C]. */
  readonly states: ValueName;
  /** Whether it is the first of its adapter here: it brings the weights. */
  readonly isFirst: boolean;
  /** Where the attention finds its keys and values, [B, T, h]. */
  readonly projected: Readonly<Record<Projected, ValueName>>;
  /** [C, h] in the model's type, one for all streams of an adapter: what to_k_ip and to_v_ip multiply the image tokens with. */
  readonly weights: { readonly k: Segment; readonly v: Segment };
}

/** How the image attention is scaled. */
export interface Distribution {
  readonly scale: Scale;
  /** By the id of the cross-attention. */
  readonly weights: ReadonlyMap<number, LayerWeight>;
  readonly scaling: EmbedsScaling;
}

/** One branch per selected attention and stream, in checkpoint order; a factor that is baked in as 0 needs none. */
export function branchesOf(
  attentions: readonly CrossAttention[],
  grafts: readonly Graft[],
  streams: readonly ImageStream[],
  { scale, weights, scaling }: Distribution,
): Branch[] {
  const nameOf = scaling === 'v' ? imageProjectionOf : scaledProjectionOf;
  const isOff = (attention: CrossAttention, { adapter }: ImageStream) =>
    weights.get(attention.id)?.factor === 0 ||
    (scale.kind === 'constant' && scale.of(adapter, attention) === 0);
  return attentions
    .filter((attention) => attention.selected)
    .flatMap((attention) =>
      streams.flatMap((stream, i): Branch[] => {
        if (isOff(attention, stream)) return [];
        const graft = grafts[stream.adapter]!;
        const isSwapped = weights.get(attention.id)?.swapped === true;
        const name = (which: Projected) => nameOf(attention.scope, which, stream.index);
        return [
          {
            attention,
            stream,
            states: isSwapped ? swappedStatesOf(stream.index) : stream.states,
            isFirst: streams[i - 1]?.adapter !== stream.adapter,
            projected: { k: name('k'), v: name('v'), kv: name('kv') },
            weights: { k: graft.weight(attention, 'k'), v: graft.weight(attention, 'v') },
          },
        ];
      }),
    );
}

/** What a branch multiplies its tokens with, and how wide the results are: keys and values, or both packed. */
export function projectionsOf({
  attention,
}: Branch): { readonly which: Projected; readonly width: number }[] {
  const { packedHeads, width } = attention;
  return packedHeads === null
    ? [
        { which: 'k', width },
        { which: 'v', width },
      ]
    : [{ which: 'kv', width: 2 * width }];
}
