import type { IpgraftError } from '../../compiler/errors.js';
import type { Tensor, TensorMetadata } from './tensor.js';

/** An input of a served model. */
export interface ServedInput extends TensorMetadata {
  /** Whether a request may leave it out. */
  readonly optional: boolean;
  /** Whether the model says nothing of its shape, not even the rank; `shape` is empty then. */
  readonly anyShape?: boolean;
}

/** What a served model takes and gives. */
export interface ModelInterface {
  readonly inputs: readonly ServedInput[];
  readonly outputs: readonly TensorMetadata[];
}

/** What one inference took. Nanoseconds. */
export interface InferenceTimes {
  readonly queue: number;
  readonly computeInput: number;
  readonly computeInfer: number;
  readonly computeOutput: number;
  /** Of a model whose answers are kept: whether this one was, and what looking it up and keeping it took. */
  readonly cache?: { readonly hit: boolean; readonly ns: number };
}

/** An answer, and what it took. */
export interface Inference {
  readonly outputs: readonly Tensor[];
  readonly times: InferenceTimes;
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
   * Runs the model. The bytes of the inputs must stay as they are until it answers.
   * @throws IpgraftError `SERVER_INPUT` for tensors that do not fit, `SERVER_BUSY` when the queue is full or the model is being closed, `SERVER_TIMEOUT`,
   *   `SERVER_CANCELLED`, `SERVER_WORKER_LOST` when its worker died, `SERVER_MODEL_NOT_READY` when no other takes its place, `SERVER_ANSWER_TOO_LARGE`, `RUNTIME_RUN`
   */
  infer(inputs: readonly Tensor[], options?: InferOptions): Promise<Inference>;
  /** How many requests wait, and how many run. */
  readonly load: { readonly waiting: number; readonly running: number };
  /** Why it answers no more, said for clients; `null`, or absent, while it does. */
  readonly fault?: IpgraftError | null;
  /** Whether a file of it is not what it was when it was loaded. What was loaded goes on to answer. */
  hasChanged?(): Promise<boolean>;
  /**
   * Takes no more requests, lets those that run and wait finish, up to `grace` milliseconds (30,000), and ends the processes. Another call
   * with less grace ends them sooner.
   */
  close(grace?: number): Promise<void>;
}
