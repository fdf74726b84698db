import type { ValueName } from '../compiler/onnx/node.js';
import type { Segment } from '../compiler/wire/rope.js';
import type { EmbedsScaling } from './embeds-scaling.js';
import type { Graft } from './graft.js';
import type { ImageStream } from './image-stream.js';
import type { CrossAttention } from './locate-cross-attention.js';
import { imageProjectionOf, type Projected, scaledProjectionOf, swappedStatesOf } from './names.js';
import { packHeads } from './pack-heads.js';
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

/** One multiplication of the image tokens at an attention: with to_k_ip, to_v_ip, or both packed. */
export interface ImageProjectionLayer {
  readonly which: Projected;
  /** Columns of the weight, which has as many rows as the tokens are wide. */
  readonly width: number;
  readonly data: Segment;
}

/** What image tokens are multiplied with at an attention: keys and values apart, or packed where the base packs its own. */
export function projectionsOf(
  { packedHeads, width, textWidth }: CrossAttention,
  { k, v }: Branch['weights'],
): ImageProjectionLayer[] {
  return packedHeads === null
    ? [
        { which: 'k', width, data: k },
        { which: 'v', width, data: v },
      ]
    : [{ which: 'kv', width: 2 * width, data: packHeads(k, v, textWidth * packedHeads) }];
}
