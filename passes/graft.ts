import type { Segment } from '../compiler/wire/rope.js';
import type { Adapter } from './adapter/adapter.js';
import { fitAdapter } from './adapter/fit.js';
import { weightData } from './adapter/linear-weight.js';
import type { CrossAttention, Located } from './locate-cross-attention.js';
import type { KeyOrValue } from './names.js';

/** What is grafted: the image weights of one adapter, and how many tokens it brings. */
export interface Graft {
  readonly name: string;
  /** T, per image. */
  readonly tokens: number;
  /** The width of its tokens. */
  readonly tokenWidth: number;
  /** How many images its tokens come from. */
  readonly images: number;
  /** The checkpoint behind it; `null` for weights that start as copies of the text's. */
  readonly adapter: Adapter | null;
  /** to_k_ip.weight or to_v_ip.weight of one cross-attention, [C, h] in the attention's type. */
  weight(attention: CrossAttention, which: KeyOrValue): Segment;
}

/** The graft that an adapter's checkpoint is. @throws IpgraftError `ADAPTER_COUNT`, `ADAPTER_WIDTH` */
export function graftOf(adapter: Adapter, located: Located, images = 1): Graft {
  const layers = fitAdapter(adapter, located);
  return {
    name: adapter.name,
    tokens: adapter.tokens,
    tokenWidth: adapter.tokenWidth,
    images,
    adapter,
    weight(attention, which) {
      const layer = layers.get(attention)!;
      return weightData(which === 'k' ? layer.key : layer.value, attention.dataType, true);
    },
  };
}
