import { largestDifference } from './largest-difference.js';

/** How far apart two lists of numbers are. */
export interface Compared {
  readonly difference: number;
  /** Over the largest absolute value that was expected. */
  readonly relative: number;
}

/** Compares what was found with what was expected. */
export function compared(found: Float32Array, expected: Float32Array): Compared {
  const difference = largestDifference(found, expected);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return { difference, relative: difference === 0 ? 0 : difference / largest };
}

/** to_out's result beside `sum · W + b`. */
export interface OutNumbers extends Compared {
  readonly found: Float32Array;
  readonly expected: Float32Array;
  readonly bias: Float32Array | null;
}
