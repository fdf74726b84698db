import type { CrossAttention } from './locate-cross-attention.js';

/** Where what belongs to no single attention is named. */
export const ADAPTER_SCOPE = '/ip_adapter';

/** `''`, `_2`, `_3`, …: the first adapter, or stream of image tokens, needs no number. */
export function adapterSuffix(index: number): string {
  return index === 0 ? '' : `_${index + 1}`;
}

/** `down_blocks.0.attentions.1.attn2` → `/down_blocks.0/attentions.1/attn2`: a module path as TorchScript writes it. */
export function nodeScope(scope: string): string {
  return `/${scope.replace(/\.(?!\d+(?:\.|$))/g, '/')}`;
}

/** The text tokens, where they are cut from an input that carries image tokens too. */
export const TEXT_TOKENS = `${ADAPTER_SCOPE}/text_tokens`;

/** The image tokens of a stream, [B, T, C], with the batch of the text. */
export function imageTokensOf(stream: number): string {
  return `${ADAPTER_SCOPE}/image_tokens${adapterSuffix(stream)}`;
}

/** The image tokens of a stream behind the linear layer that the text passes first, [B, T, C]. */
export function imageStatesOf(stream: number): string {
  return `${ADAPTER_SCOPE}/image_states${adapterSuffix(stream)}`;
}

/** The states of a stream with the halves of the batch swapped, [B, T, C]. */
export function swappedStatesOf(stream: number): string {
  return `${ADAPTER_SCOPE}/swapped_states${adapterSuffix(stream)}`;
}

/** The mask of a stream at one attention, [1 or B, S, 1]. */
export function imageMaskOf(attention: CrossAttention, stream: number): string {
  return `${ADAPTER_SCOPE}/mask/${maskGroupOf(attention)}/image${adapterSuffix(stream)}`;
}

/** Attentions of one name see one resolution: `down_0`. */
export function maskGroupOf({ place }: CrossAttention): string {
  return `${place.part}_${place.numbers[0] ?? 0}`;
}

/** Keys or values. */
export type KeyOrValue = 'k' | 'v';

/** What one image layer makes: keys, values, or both packed. */
export type Projected = KeyOrValue | 'kv';

/** The image keys or values of one attention, [B, T, h]. */
export function imageProjectionOf(scope: string, which: Projected, stream: number): string {
  return `${nodeScope(scope)}/to_${which}_ip${adapterSuffix(stream)}/MatMul_output_0`;
}

/** The same, scaled. */
export function scaledProjectionOf(scope: string, which: Projected, stream: number): string {
  return `${nodeScope(scope)}/to_${which}_ip${adapterSuffix(stream)}/scaled_output_0`;
}

/** The initializer with the weight of to_k_ip or to_v_ip, [C, h]. */
export function imageWeightOf(scope: string, which: Projected, adapter: number): string {
  return `${scope}.to_${which}_ip${adapterSuffix(adapter)}.weight`;
}

/** What the image branch of one attention computes, unscaled, [B, S, h]. */
export function branchExitOf(scope: string, stream: number): string {
  return `${nodeScope(scope)}/ip${adapterSuffix(stream)}_output_0`;
}
