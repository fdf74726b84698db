import { checkpointId, inCheckpointOrder, placeOf } from '../../passes/checkpoint-order.js';
import type { CrossAttention } from '../../passes/locate-cross-attention.js';

/** A part of a UNet: module path of each attention, and how many transformer blocks it holds. */
type Attentions = readonly (readonly [path: string, depth: number])[];

function expand(attentions: Attentions): string[] {
  return attentions.flatMap(([path, depth]) =>
    Array.from({ length: depth }, (_, k) => `${path}.transformer_blocks.${k}.attn2`),
  );
}

function block(path: string, attentions: number, depth: number): Attentions {
  return Array.from({ length: attentions }, (_, i) => [`${path}.attentions.${i}`, depth] as const);
}

/** Scopes of the cross-attentions of SD1.5, in checkpoint order. Source: reference/ip-adapter.md §1.2, verified with diffusers. */
export const SD15 = expand([
  ...block('down_blocks.0', 2, 1),
  ...block('down_blocks.1', 2, 1),
  ...block('down_blocks.2', 2, 1),
  ...block('up_blocks.1', 3, 1),
  ...block('up_blocks.2', 3, 1),
  ...block('up_blocks.3', 3, 1),
  ...block('mid_block', 1, 1),
]);

/** The same of SDXL. */
export const SDXL = expand([
  ...block('down_blocks.1', 2, 2),
  ...block('down_blocks.2', 2, 10),
  ...block('up_blocks.0', 3, 10),
  ...block('up_blocks.1', 3, 2),
  ...block('mid_block', 1, 10),
]);

/** Of SD1.5 in the words of the original latent-diffusion code. */
export const SD15_LDM = expand([
  ...[1, 2, 4, 5, 7, 8].map((n) => [`model.diffusion_model.input_blocks.${n}.1`, 1] as const),
  ...[3, 4, 5, 6, 7, 8, 9, 10, 11].map((n) => [`model.diffusion_model.output_blocks.${n}.1`, 1] as const),
  ['model.diffusion_model.middle_block.1', 1],
]);

/** Of SDXL in those words. */
export const SDXL_LDM = expand([
  ...[4, 5].map((n) => [`input_blocks.${n}.1`, 2] as const),
  ...[7, 8].map((n) => [`input_blocks.${n}.1`, 10] as const),
  ...[0, 1, 2].map((n) => [`output_blocks.${n}.1`, 10] as const),
  ...[3, 4, 5].map((n) => [`output_blocks.${n}.1`, 2] as const),
  ['middle_block.1', 10],
]);

/** Cross-attentions of these scopes, as far as order and scales ask. */
export function attentionsOf(scopes: readonly string[]): CrossAttention[] {
  return scopes
    .map((scope) => ({ scope, place: placeOf(scope) }))
    .sort((a, b) => inCheckpointOrder(a.place, b.place))
    .map((attention, n) => ({ ...attention, id: checkpointId(n) }) as CrossAttention);
}
