import type { Datatype } from '../tensor.js';

/** An input or output as a configuration has it: without the batch where there is one. */
export interface ConfigTensor {
  readonly name: string;
  readonly datatype: Datatype;
  /** −1 is a free dimension; `[1]` also stands for a scalar. */
  readonly dims: readonly number[];
  readonly optional: boolean;
  /** Whether the model has nothing but the batch where requests bring `[1]` behind it. */
  readonly isRowScalar?: boolean;
}

/** A request that a model runs before it is ready. */
export interface WarmupSample {
  readonly name: string;
  /** How often it is run by each worker. */
  readonly count: number;
  readonly batchSize: number;
  readonly inputs: readonly WarmupInput[];
}

/** An input of a {@link WarmupSample}. */
export interface WarmupInput {
  readonly name: string;
  readonly datatype: Datatype;
  /** Without the batch where there is one. */
  readonly dims: readonly number[];
  readonly data: 'zero' | 'random';
}

/** One model of an ensemble, and what its tensors are called in the ensemble. */
export interface EnsembleStep {
  readonly model: string;
  /** `undefined` for the one that is served. */
  readonly version: string | undefined;
  /** Input of the model → tensor of the ensemble. */
  readonly inputs: ReadonlyMap<string, string>;
  /** Output of the model → tensor of the ensemble. */
  readonly outputs: ReadonlyMap<string, string>;
}

/** What a config.pbtxt says that this server acts on. */
export interface ModelConfig {
  readonly isEnsemble: boolean;
  /** 0 where the first dimension is like any other. */
  readonly maxBatchSize: number;
  /** Empty where it does not say: the model's. */
  readonly inputs: readonly ConfigTensor[];
  readonly outputs: readonly ConfigTensor[];
  /** Of the model in the folder of its version. */
  readonly filename: string;
  /** Which versions may be served, of which the highest is; any where it does not say. */
  readonly versions?: readonly string[];
  readonly workers?: number;
  readonly threads?: number;
  readonly queueSize?: number;
  /** Longest that a request may take. Milliseconds. */
  readonly timeout?: number;
  /** Whether answers are kept; where it does not say, that is for what the model is to decide. */
  readonly responseCache?: boolean;
  readonly warmup: readonly WarmupSample[];
  /** Of an ensemble. */
  readonly steps: readonly EnsembleStep[];
  /** Fields that it sets and that change nothing here. */
  readonly unused: readonly string[];
}

/** Of a model without a config.pbtxt. */
export const NO_CONFIG: ModelConfig = {
  isEnsemble: false,
  maxBatchSize: 0,
  inputs: [],
  outputs: [],
  filename: 'model.onnx',
  warmup: [],
  steps: [],
  unused: [],
};
