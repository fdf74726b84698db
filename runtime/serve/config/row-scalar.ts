import type { ConfigTensor } from './model-config.js';

/** Whether a model has [B] where requests bring [B, 1], by `dims: [1] reshape { shape: [] }`. */
export function isRowScalar(name: string, written: readonly ConfigTensor[]): boolean {
  return written.some((each) => each.name === name && each.isRowScalar === true);
}

/** [B] → [B, 1] */
export function withTail<
  T extends { readonly shape: readonly number[]; readonly symbols?: readonly (string | null)[] },
>(tensor: T): T {
  const { shape, symbols } = tensor;
  return { ...tensor, shape: [...shape, 1], ...(symbols && { symbols: [...symbols, null] }) };
}

/** [B, 1] → [B] */
export function withoutTail<T extends { readonly shape: readonly number[] }>(tensor: T): T {
  return { ...tensor, shape: tensor.shape.slice(0, -1) };
}
