import { add, divide, multiply, subtract } from './float32.js';
import type { LogSnr } from './log-snr.js';

/** What a UNet may have been trained to give. */
export const PREDICTIONS = ['epsilon', 'sample', 'v_prediction'] as const;

/** One of {@link PREDICTIONS}. */
export type Prediction = (typeof PREDICTIONS)[number];

/** The finished sample, as what the UNet gave says it. */
export function originalOf(
  prediction: Prediction,
  { alpha, sigma }: LogSnr,
  modelOutput: Float32Array,
  sample: Float32Array,
): Float32Array {
  if (prediction === 'sample') return modelOutput;
  if (prediction === 'epsilon') return divide(subtract(sample, multiply(sigma, modelOutput)), alpha);
  return subtract(multiply(alpha, sample), multiply(sigma, modelOutput));
}

/** The noise in a sample, as what the UNet gave says it. */
export function epsilonOf(
  prediction: Prediction,
  { alpha, sigma }: LogSnr,
  modelOutput: Float32Array,
  sample: Float32Array,
): Float32Array {
  if (prediction === 'epsilon') return modelOutput;
  if (prediction === 'sample') return divide(subtract(sample, multiply(alpha, modelOutput)), sigma);
  return add(multiply(alpha, modelOutput), multiply(sigma, sample));
}
