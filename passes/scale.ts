import { IpgraftError } from '../compiler/errors.js';
import type { CrossAttention } from './locate-cross-attention.js';

/** How strongly an image counts, and who says so. */
export type Scale =
  /** The caller, by `ip_scale` [adapters]. */
  | { readonly kind: 'input' }
  /** The caller, by `ip_scale` [adapters, cross-attentions], columns in checkpoint order. */
  | { readonly kind: 'layers' }
  /** The caller, by `ip_scale` [adapters, B]: one for each row of the batch. */
  | { readonly kind: 'rows' }
  /** As `input`, with a default for callers that know only the base's inputs. */
  | { readonly kind: 'optional'; readonly value: number }
  /** Baked in. A factor of 0 leaves the attention as it was, without a branch. */
  | { readonly kind: 'constant'; of(adapter: number, attention: CrossAttention): number };

/** A scale that cannot be read, or cannot be meant. */
export function badScale(scale: string, why: string): IpgraftError {
  return new IpgraftError('OPTION_SCALE', `--scale ${scale}: ${why}`, { scale, why });
}
