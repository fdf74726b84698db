import { add, divide, multiply, subtract } from './float32.js';
import type { LogSnr } from './log-snr.js';

/** Factors of signal and noise in a sample: √ᾱ and √(1 − ᾱ) at a timestep. */
type Shares = Pick<LogSnr, 'alpha' | 'sigma'>;

/** What a UNet may have been trained to give. */
export const PREDICTIONS = ['epsilon', 'sample', 'v_prediction'] as const;

/** One of {@link PREDICTIONS}. */
export type Prediction = (typeof PREDICTIONS)[number];

/** The finished sample, as what the UNet gave says it. */
export function originalOf(
  prediction: Prediction,
  { alpha, sigma }: Shares,
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
  { alpha, sigma }: Shares,
  modelOutput: Float32Array,
  sample: Float32Array,
): Float32Array {
  if (prediction === 'epsilon') return modelOutput;
  if (prediction === 'sample') return divide(subtract(sample, multiply(alpha, modelOutput)), sigma);
  return add(multiply(alpha, modelOutput), multiply(sigma, sample));
}
