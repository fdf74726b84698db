import type { ErrorCode, Facts } from '../../../compiler/errors.js';
import type { InputFile } from '../../../compiler/io/input-file.js';
import type { Provider } from '../../session/load-runtime.js';
import type { ModelInterface } from '../backend.js';
import type { Tensor } from '../tensor.js';

/** Which model a worker is to load, and how: its only argument, as JSON. */
export interface LoadOrder {
  /** Path of the ONNX file. */
  readonly model: string;
  /** Threads of one run. */
  readonly threads: number;
  readonly provider: Provider;
  /** Bytes of an answer at most. */
  readonly maxAnswer: number;
}

/** A tensor without its bytes: they are the part of the frame at the same index. */
export type TensorHead = Omit<Tensor, 'data'>;

/** What a worker is asked to run; the parts are the inputs' bytes. */
export interface RunOrder {
  readonly inputs: readonly TensorHead[];
  /** Names of the outputs to compute, in the order in which they are answered. */
  readonly outputs: readonly string[];
}

/** What a worker says once, when it has loaded its model. */
export interface Loaded extends ModelInterface {
  readonly kind: 'loaded';
  /** The files that it is made of, as they were just before. */
  readonly files: readonly InputFile[];
}

/** What a worker says of a run; the parts are the outputs' bytes. Nanoseconds. */
export interface Ran {
  readonly kind: 'ran';
  readonly outputs: readonly TensorHead[];
  readonly computeInput: number;
  readonly computeInfer: number;
  readonly computeOutput: number;
}

/** An error of a worker that can go on, as the data of an IpgraftError. */
export interface Failed {
  readonly kind: 'failed';
  readonly code: ErrorCode;
  readonly message: string;
  readonly facts: Facts;
  readonly hint: string;
}

export type Answer = Loaded | Ran | Failed;
