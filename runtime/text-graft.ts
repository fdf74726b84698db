import { IpgraftError } from '../compiler/errors.js';
import type { Segment } from '../compiler/wire/rope.js';
import type { Graft } from '../passes/graft.js';
import type { Located } from '../passes/locate-cross-attention.js';
import { locateData } from './locate-data.js';
import type { OpenedModel } from './open.js';

/**
 * The graft that training starts from: to_k_ip and to_v_ip are copies of the base's own to_k and to_v. The weights are named
 * where they lie, in the model or in its data files, and copied when the result is written.
 * @throws IpgraftError `MODEL_TYPE_UNSUPPORTED`
 */
export async function textGraft(
  opened: OpenedModel,
  { attentions, inputWidth }: Located,
  tokens: number,
): Promise<Graft> {
  const data = new Map<string, Segment>();
  for (const { scope, key, value } of attentions) {
    for (const { weight, output } of [key, value]) {
      if (weight === null) {
        throw new IpgraftError(
          'MODEL_TYPE_UNSUPPORTED',
          `${scope}: sought to_k and to_v as float weights of their own, found ${output} made of packed, fused or quantized ones`,
          { scope },
        );
      }
      data.set(weight, await locateData(opened, weight));
    }
  }
  return {
    name: 'text weights',
    tokens,
    tokenWidth: inputWidth,
    images: 1,
    adapter: null,
    weight: (attention, which) => data.get((which === 'k' ? attention.key : attention.value).weight!)!,
  };
}
