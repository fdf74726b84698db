import { IpgraftError } from '../../compiler/errors.js';
import type { InferenceTimes } from './backend.js';

/** Why a request got no answer, in Triton's words. */
export type FailureReason = 'REJECTED' | 'CANCELED' | 'BACKEND' | 'OTHER';

/** How often, and how long in all. Nanoseconds. */
export interface Tally {
  count: number;
  ns: number;
}

/**
 * What a model did since it was loaded: the counters behind the statistics extension and the metrics. Each request is one inference. As in
 * Triton an answer that was kept counts as a success and not as an execution.
 */
export class InferenceStatistics {
  readonly success: Tally = { count: 0, ns: 0 };
  readonly fail: Tally = { count: 0, ns: 0 };
  readonly queue: Tally = { count: 0, ns: 0 };
  readonly computeInput: Tally = { count: 0, ns: 0 };
  readonly computeInfer: Tally = { count: 0, ns: 0 };
  readonly computeOutput: Tally = { count: 0, ns: 0 };
  readonly cacheHit: Tally = { count: 0, ns: 0 };
  readonly cacheMiss: Tally = { count: 0, ns: 0 };
  readonly failures: Record<FailureReason, number> = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 };
  /** Milliseconds since 1970; 0 before the first. */
  lastInference = 0;

  /** A request was answered, `ns` nanoseconds after it came. */
  succeeded(times: InferenceTimes, ns: number): void {
    const { cache } = times;
    add(this.success, ns);
    add(this.queue, times.queue);
    if (cache !== undefined) add(cache.hit ? this.cacheHit : this.cacheMiss, cache.ns);
    if (cache?.hit) return;
    for (const part of ['computeInput', 'computeInfer', 'computeOutput'] as const)
      add(this[part], times[part]);
    this.lastInference = Date.now();
  }

  /** A request failed, `ns` nanoseconds after it came. */
  failed(reason: FailureReason, ns: number): void {
    add(this.fail, ns);
    this.failures[reason]++;
  }

  /** How often the model ran to an answer. */
  get executions(): number {
    return this.computeInfer.count;
  }

  /** Seconds that one run takes on average; 0 before the first. */
  get meanSeconds(): number {
    return this.executions === 0 ? 0 : this.computeInfer.ns / this.executions / 1e9;
  }
}

/** How an error counts. */
export function failureReason(error: unknown): FailureReason {
  switch (error instanceof IpgraftError ? error.code : undefined) {
    case 'SERVER_BUSY':
    case 'SERVER_TIMEOUT':
      return 'REJECTED';
    case 'SERVER_CANCELLED':
      return 'CANCELED';
    case 'RUNTIME_RUN':
    case 'SERVER_WORKER_LOST':
      return 'BACKEND';
    default:
      return 'OTHER';
  }
}

function add(tally: Tally, ns: number): void {
  tally.count++;
  // The protocol's numbers are integers.
  tally.ns += Math.round(ns);
}
