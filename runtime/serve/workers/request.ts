import { IpgraftError } from '../../../compiler/errors.js';
import type { InferOptions } from '../backend.js';
import { LONGEST_TIMER } from '../longest-timer.js';
import type { Frame } from './frames.js';
import type { Ran, RunOrder } from './messages.js';

/** What became of a request whose model ran. */
export interface Served {
  readonly frame: Frame<Ran>;
  /** Nanoseconds in the queue, and from there to the answer. */
  readonly queue: number;
  readonly asked: number;
}

/** One inference from the moment that it is wanted until it is answered, in one way or another, once. */
export class Request {
  readonly order: Frame<RunOrder>;
  readonly answer: Promise<Served>;
  private readonly arrived = process.hrtime.bigint();
  private started: bigint | null = null;
  private settle!: { resolve(served: Served): void; reject(error: unknown): void };
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly giveUp: (request: Request, error: IpgraftError) => void;
  private readonly signal: AbortSignal | undefined;

  /** `giveUp` is called when the time is over or the signal comes; whoever holds the request then rejects it. */
  constructor(
    order: Frame<RunOrder>,
    { signal, timeout }: Pick<InferOptions, 'signal' | 'timeout'>,
    giveUp: (request: Request, error: IpgraftError) => void,
  ) {
    this.order = order;
    this.giveUp = giveUp;
    this.signal = signal;
    this.answer = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    if (timeout !== undefined) this.limit(timeout);
    signal?.addEventListener('abort', this.onAbort);
  }

  /** A worker takes it, and may run for `limit` milliseconds. */
  start(limit: number): void {
    this.started = process.hrtime.bigint();
    this.limit(limit);
  }

  resolve(frame: Frame<Ran>): void {
    this.end();
    const now = process.hrtime.bigint();
    const started = this.started ?? now;
    this.settle.resolve({ frame, queue: Number(started - this.arrived), asked: Number(now - started) });
  }

  reject(error: unknown): void {
    this.end();
    this.settle.reject(error);
  }

  private limit(milliseconds: number): void {
    const expire = () => {
      const where = this.started === null ? 'the queue' : 'a run';
      const took = Math.round(Number(process.hrtime.bigint() - this.arrived) / 1e6);
      this.giveUp(
        this,
        new IpgraftError('SERVER_TIMEOUT', `not answered within ${milliseconds} ms: it was in ${where}`, {
          limit: milliseconds,
          took,
          where,
        }),
      );
    };
    this.timers.push(setTimeout(expire, Math.min(milliseconds, LONGEST_TIMER)));
  }

  private readonly onAbort = () => {
    this.giveUp(this, new IpgraftError('SERVER_CANCELLED', 'given up by whoever asked'));
  };

  private end(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.signal?.removeEventListener('abort', this.onAbort);
  }
}
