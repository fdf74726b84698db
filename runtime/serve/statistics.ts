import type { InferenceTimes } from './backend.js';

/** Why a request got no answer, in Triton's words. */
export type FailureReason = 'REJECTED' | 'CANCELED' | 'BACKEND' | 'OTHER';

/** How often, and how long in all. Nanoseconds. */
export interface Tally {
  count: number;
  ns: number;
}

/** What a model did since it was loaded: the counters behind the statistics extension and the metrics. Each request is one inference. */
export class InferenceStatistics {
  readonly success: Tally = { count: 0, ns: 0 };
  readonly fail: Tally = { count: 0, ns: 0 };
  readonly queue: Tally = { count: 0, ns: 0 };
  readonly computeInput: Tally = { count: 0, ns: 0 };
  readonly computeInfer: Tally = { count: 0, ns: 0 };
  readonly computeOutput: Tally = { count: 0, ns: 0 };
  readonly failures: Record<FailureReason, number> = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 };
  /** Milliseconds since 1970; 0 before the first. */
  lastInference = 0;

  /** A request was answered, `ns` nanoseconds after it came. */
  succeeded(times: InferenceTimes, ns: number): void {
    add(this.success, ns);
    for (const part of ['queue', 'computeInput', 'computeInfer', 'computeOutput'] as const)
      add(this[part], times[part]);
    this.lastInference = Date.now();
  }

  /** A request failed, `ns` nanoseconds after it came. */
  failed(reason: FailureReason, ns: number): void {
    add(this.fail, ns);
    this.failures[reason]++;
  }

  /** Seconds that one run takes on average; 0 before the first. */
  get meanSeconds(): number {
    return this.success.count === 0 ? 0 : this.computeInfer.ns / this.success.count / 1e9;
  }
}

function add(tally: Tally, ns: number): void {
  tally.count++;
  // The protocol's numbers are integers.
  tally.ns += Math.round(ns);
}
