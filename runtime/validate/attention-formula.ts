import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import type { EmbedsScaling } from '../../passes/embeds-scaling.js';
import type { TensorFlow } from './second-engine.js';

/**
 * `softmax(Q Kᵀ / √d + mask) V`, heads side by side: query [B, S, h], key and value [B, T, h] → [B, S, h]. `mask` is added to the scores
 * [B, H, S, T] and may have 1 in the place of B, H and S.
 *
 * Source: equation 1 and section 3.2.2 of “Attention Is All You Need” (Vaswani et al. 2017, arXiv:1706.03762).
 */
export function attention(
  tf: TensorFlow,
  query: Tensor3D,
  key: Tensor3D,
  value: Tensor3D,
  heads: number,
  mask: Tensor4D | null = null,
): Tensor3D {
  const [rows, queries, width] = query.shape;
  const headWidth = width / heads;
  const split = (x: Tensor3D): Tensor4D =>
    tf.transpose(tf.reshape(x, [x.shape[0], x.shape[1], heads, headWidth]), [0, 2, 1, 3]) as Tensor4D;
  const products = tf.mul(tf.matMul(split(query), split(key), false, true), headWidth ** -0.5);
  const weights = tf.softmax(mask === null ? products : tf.add(products, mask));
  const mixed = tf.matMul(weights, split(value)) as Tensor4D;
  return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [rows, queries, width]);
}

/** `x Wᵀ (+ b)`: x [B, N, C], W [h, C] as PyTorch keeps a Linear, b [h] → [B, N, h]. */
export function linear(
  tf: TensorFlow,
  x: Tensor3D,
  weight: Tensor2D,
  bias: Tensor2D | null = null,
): Tensor3D {
  const [rows, tokens, width] = x.shape;
  const product = tf.matMul(tf.reshape(x, [rows * tokens, width]), weight, false, true);
  const result = bias === null ? product : tf.add(product, bias);
  return tf.reshape(result, [rows, tokens, weight.shape[0]]);
}

/** Each row `times` times behind each other, as text and image are for the frames of a video: [B, N, C] → [times · B, N, C]. */
export function repeatRows(tf: TensorFlow, x: Tensor3D, times: number): Tensor3D {
  if (times === 1) return x;
  const [rows, tokens, width] = x.shape;
  const repeated = tf.tile(tf.reshape(x, [rows, 1, tokens, width]), [1, times, 1, 1]);
  return tf.reshape(repeated, [rows * times, tokens, width]);
}

/** Keys and values of a stream of image tokens, and how they count. */
export interface ImageTermValues {
  /** K', V' [B, T, h]. */
  readonly key: Tensor3D;
  readonly value: Tensor3D;
  /** λ [B, 1, 1] or [1, 1, 1]. */
  readonly scale: Tensor3D;
  /** m [B or 1, S, 1]. */
  readonly mask: Tensor3D | null;
  /** Added to the scores: nothing, unless something is wrong. */
  readonly scoreMask?: Tensor4D;
}

/** The width whose layers a penalty leaves as they are. */
const PENALTY_WIDTH = 1280;

/**
 * What a stream of image tokens adds: `λ · m ⊙ Attn(Q, K', V')`, or with scaled embeddings `m ⊙ Attn(Q, λK', λV')` and its relatives.
 *
 * Source: equation 5 of “IP-Adapter” (Ye et al. 2023, arXiv:2308.06721); masks as in diffusers' `IPAdapterAttnProcessor2_0`; scaled
 * embeddings as in CrossAttentionPatch.py of cubiq/ComfyUI_IPAdapter_plus.
 */
export function imageTerm(
  tf: TensorFlow,
  query: Tensor3D,
  { key, value, scale, mask, scoreMask }: ImageTermValues,
  heads: number,
  scaling: EmbedsScaling,
): Tensor3D {
  const attend = (k: Tensor3D, v: Tensor3D) => attention(tf, query, k, v, heads, scoreMask);
  const weight = scaling.endsWith('penalty') ? tf.mul(scale, query.shape[2] / PENALTY_WIDTH) : scale;
  const scaled = (x: Tensor3D): Tensor3D => tf.mul(x, weight);
  const unmasked = (): Tensor3D => {
    if (scaling === 'v') return tf.mul(attend(key, value), scale);
    if (scaling !== 'k+mean-v-penalty') return attend(scaled(key), scaled(value));
    const mean = tf.mean(value, 1, true) as Tensor3D;
    return attend(scaled(key), tf.add(tf.sub(value, mean), scaled(mean)));
  };
  return mask === null ? unmasked() : tf.mul(unmasked(), mask);
}
