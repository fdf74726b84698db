/** One thing that was checked. */
export interface Check {
  /** In words. */
  readonly name: string;
  /** `null`: it cannot be checked on this model; `detail` says why. */
  readonly passed: boolean | null;
  /** The largest absolute difference, where one was measured; with NaN or infinities, 1.7976931348623157e308 in JSON. */
  readonly difference: number | null;
  /** How it was checked, or why not. */
  readonly detail: string;
}

/** One cross-attention's result in the patched model beside what the second engine computes from the same values. */
export interface SiteNumbers {
  /** Module path as diffusers names it, such as `mid_block.attentions.0.transformer_blocks.0.attn2`. */
  readonly scope: string;
  /** The checkpoint's layer id: 1, 3, 5, …. */
  readonly id: number;
  /** Whether `relative` is within `limit`. */
  readonly passed: boolean;
  /** Largest absolute difference; with NaN or infinities, 1.7976931348623157e308 in JSON. */
  readonly difference: number;
  /** Largest absolute difference over the largest absolute value that was expected. */
  readonly relative: number;
  /** What `relative` may be at most, by the dtype of the model and the provider. */
  readonly limit: number;
  /** Where it did not pass: what was done instead, if that can be told, such as `K' and V' are swapped`. */
  readonly diagnosis: string | null;
}

/** What recomputed the cross-attentions. */
export interface Engine {
  /** The package: `@tensorflow/tfjs-core`, or `@tensorflow/tfjs-node-gpu` where that is installed. */
  readonly name: string;
  /** Of that package. */
  readonly version: string;
  /** TensorFlow.js' name of what computes: `wasm`, or `tensorflow` where it is native. */
  readonly backend: string;
}

/** What was checked, and what a caller of the model should know. */
export interface Validation {
  /** Whether nothing that was checked failed; decides the exit code. */
  readonly passed: boolean;
  /** ONNX Runtime's execution provider that ran the patched model. */
  readonly provider: 'cpu' | 'webgpu' | 'cuda';
  /** `null` where no cross-attention was recomputed. */
  readonly engine: Engine | null;
  /** Of the model as a whole. */
  readonly checks: readonly Check[];
  /** The cross-attentions that were recomputed, in checkpoint order. */
  readonly sites: readonly SiteNumbers[];
  /** What a caller of the model should know. */
  readonly warnings: readonly string[];
}
