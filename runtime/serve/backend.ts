import type { Tensor, TensorMetadata } from './tensor.js';

/** What a served model takes and gives. */
export interface ModelInterface {
  readonly inputs: readonly (TensorMetadata & { readonly optional: boolean })[];
  readonly outputs: readonly TensorMetadata[];
}

/** What one inference took. Nanoseconds. */
export interface InferenceTimes {
  readonly queue: number;
  readonly computeInput: number;
  readonly computeInfer: number;
  readonly computeOutput: number;
}

/** How one inference is wanted. */
export interface InferOptions {
  /** Names of the outputs; all when there are none. */
  readonly outputs?: readonly string[];
  /** Gives up when it is aborted: nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
  /** Milliseconds from now, in the queue included. */
  readonly timeout?: number;
}

/** A model that is loaded and answers, in processes of its own: no call here blocks the event loop. */
export interface ServedModel extends ModelInterface {
  /**
   * Runs the model. Refuses tensors that do not fit, and gives up when the queue is full, time is up, nobody waits, or the worker died.
   */
  infer(
    inputs: readonly Tensor[],
    options?: InferOptions,
  ): Promise<{ readonly outputs: readonly Tensor[]; readonly times: InferenceTimes }>;
  /** How many requests wait, and how many run. */
  readonly load: { readonly waiting: number; readonly running: number };
  /** Lets what runs finish, up to `grace` milliseconds, and ends the processes. */
  close(grace?: number): Promise<void>;
}
