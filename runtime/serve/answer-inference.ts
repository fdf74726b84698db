import type { LoadedModel } from './repository/loaded-model.js';
import { retryAfter } from './retry-after.js';
import type { Service } from './service.js';
import { failureReason } from './statistics.js';
import type { Tensor } from './tensor.js';

/** What a request asks a model for, in whichever form it came. */
export interface WantedInference {
  readonly inputs: readonly Tensor[];
  /** In the order in which they are to be answered. */
  readonly outputs: readonly { readonly name: string }[];
  /** Milliseconds that the client waits. */
  readonly timeout?: number;
}

/** Whoever waits for an answer. */
export interface Waiting {
  /** Aborted when they do not wait any more. */
  readonly signal: AbortSignal;
  /** Told when the model could not take the request, with the whole seconds after which it may. */
  readonly onRejected: (retryAfter: number) => void;
}

/**
 * Runs a request and counts it in the statistics of its model: as answered when `write` has made an answer of the outputs.
 * @throws IpgraftError as `infer` of the model and `write` do
 */
export async function answerInference<T>(
  { model, statistics }: LoadedModel,
  { inputs, outputs, timeout }: WantedInference,
  { signal, onRejected }: Waiting,
  service: Service,
  write: (outputs: readonly Tensor[]) => T,
): Promise<T> {
  const began = process.hrtime.bigint();
  const elapsed = () => Number(process.hrtime.bigint() - began);
  try {
    const { outputs: tensors, times } = await model.infer(inputs, {
      outputs: outputs.map(({ name }) => name),
      signal,
      timeout: Math.min(timeout ?? service.timeout, service.timeout),
    });
    const written = write(
      outputs.map((output) => tensors.find(({ name }) => name === output.name) as Tensor),
    );
    statistics.succeeded(times, elapsed());
    return written;
  } catch (error) {
    const reason = failureReason(error);
    statistics.failed(reason, elapsed());
    if (reason === 'REJECTED') onRejected(retryAfter(statistics.meanSeconds));
    throw error;
  }
}
