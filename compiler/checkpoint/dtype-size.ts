import type { CheckpointDtype } from './checkpoint.js';

/** Bytes per element. */
export const DTYPE_SIZE: Readonly<Record<CheckpointDtype, 1 | 2 | 4 | 8>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Whether a word is one of ours; `toString` and its like are not. */
export function isCheckpointDtype(word: string): word is CheckpointDtype {
  return Object.hasOwn(DTYPE_SIZE, word);
}

/** Product of the sides, or undefined where it is not a safe integer. */
export function elementCount(shape: readonly number[]): number | undefined {
  if (shape.includes(0)) return 0;
  let count = 1;
  for (const side of shape) {
    count *= side;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}
