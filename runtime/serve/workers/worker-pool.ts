import { setTimeout as delay } from 'node:timers/promises';
import { IpgraftError } from '../../../compiler/errors.js';
import { refuseChanged } from '../../../compiler/io/input-file.js';
import type { InferOptions } from '../backend.js';
import { LONGEST_TIMER } from '../longest-timer.js';
import type { Frame } from './frames.js';
import type { Loaded, LoadOrder, RunOrder } from './messages.js';
import { Request, type Served } from './request.js';
import { WorkerProcess } from './worker-process.js';

/** How many workers there are, and how long anything may take. Milliseconds. */
export interface PoolOptions {
  readonly workers: number;
  /** How many requests wait at most, beside those that run. */
  readonly queueSize: number;
  readonly loadTimeout: number;
  readonly runTimeout: number;
}

/** Waits before a worker that died by itself is replaced: doubled each time, until one answers a request. Milliseconds. */
const FIRST_WAIT = 100;
const LONGEST_WAIT = 30_000;
/** After so many failures in a row, and no worker left, those who wait are told instead of waiting on. */
const FAILURES = 3;

/**
 * Processes that hold one model, and a queue before them. A request has a worker for itself; what cannot be stopped, a run that takes too
 * long or that nobody wants any more, may go on for as long as loading the model takes, since that is what ending it costs: its process
 * ends, and another takes its place.
 */
export class WorkerPool {
  /** What the model takes and gives, as the first worker found it. */
  readonly loaded: Loaded;
  private readonly order: LoadOrder;
  private readonly options: PoolOptions;
  private readonly idle: WorkerProcess[] = [];
  private readonly alive = new Set<WorkerProcess>();
  private readonly waiting = new Set<Request>();
  private readonly running = new Map<Request, WorkerProcess>();
  private readonly replacements = new Set<Promise<void>>();
  private readonly ending = new AbortController();
  /** Called when there is nothing left to do; set while the pool is drained. */
  private drained: (() => void) | null = null;
  private failures = 0;
  /** Why no worker is left; set when so many did not start in a row that more will hardly do. */
  private lost: IpgraftError | null = null;
  private ended: Promise<void> | null = null;

  private constructor(
    order: LoadOrder,
    options: PoolOptions,
    started: readonly { worker: WorkerProcess; loaded: Loaded }[],
  ) {
    this.order = order;
    this.options = options;
    this.loaded = started[0]!.loaded;
    for (const { worker } of started) this.adopt(worker);
  }

  /**
   * Starts all workers; when one does not load the model, none is left.
   * @throws IpgraftError `RUNTIME_MISSING`, `RUNTIME_LOAD`
   */
  static async start(order: LoadOrder, options: PoolOptions): Promise<WorkerPool> {
    const failed = new AbortController();
    const starts = Array.from({ length: options.workers }, () =>
      WorkerProcess.start(order, options.loadTimeout, failed.signal),
    );
    try {
      return new WorkerPool(order, options, await Promise.all(starts));
    } catch (error) {
      failed.abort();
      for (const start of await Promise.allSettled(starts)) {
        if (start.status === 'rejected') continue;
        start.value.worker.kill();
        await start.value.worker.ended;
      }
      throw error;
    }
  }

  get load(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.waiting.size, running: this.running.size };
  }

  /** Why the model answers no more; `null` while it does. What it says is for clients: its cause names files. */
  get fault(): IpgraftError | null {
    return this.lost;
  }

  /** Whether a file of the model is not what it was when it was loaded; the workers that are here go on with what they loaded. */
  async hasChanged(): Promise<boolean> {
    return refuseChanged(this.loaded.files).then(
      () => false,
      () => true,
    );
  }

  /**
   * Lets a worker run the model.
   * @throws IpgraftError `SERVER_MODEL_NOT_READY` when no worker is left and none starts, `SERVER_BUSY`, `SERVER_TIMEOUT`, `SERVER_CANCELLED`, `SERVER_WORKER_LOST`, and what the worker throws
   */
  run(order: Frame<RunOrder>, options: Pick<InferOptions, 'signal' | 'timeout'>): Promise<Served> {
    this.refuse(options.signal);
    const request = new Request(order, options, (given, error) => this.giveUp(given, error));
    this.waiting.add(request);
    this.dispatch();
    return request.answer;
  }

  /** Takes no more requests, answers those that are here for up to `grace` milliseconds, and ends all workers. */
  async close(grace: number): Promise<void> {
    this.ended ??= this.drain();
    const timer = setTimeout(() => this.end(), Math.min(grace, LONGEST_TIMER));
    if (grace <= 0) this.end();
    await this.ended;
    clearTimeout(timer);
  }

  private refuse(signal: AbortSignal | undefined): void {
    if (signal?.aborted) throw new IpgraftError('SERVER_CANCELLED', 'given up before it began');
    if (this.ended !== null) throw new IpgraftError('SERVER_BUSY', 'the model is being closed');
    if (this.lost !== null) throw this.lost;
    const { size } = this.waiting;
    if (this.idle.length > 0 || size < this.options.queueSize) return;
    throw new IpgraftError('SERVER_BUSY', `${size} requests wait, and ${this.running.size} run`, {
      waiting: size,
      running: this.running.size,
    });
  }

  private dispatch(): void {
    for (const request of this.waiting) {
      const worker = this.idle.pop();
      if (worker === undefined) return;
      this.waiting.delete(request);
      this.running.set(request, worker);
      void this.serve(request, worker);
    }
    if (this.waiting.size === 0 && this.running.size === 0) this.drained?.();
  }

  private async serve(request: Request, worker: WorkerProcess): Promise<void> {
    request.start(this.options.runTimeout);
    try {
      request.resolve(await worker.run(request.order));
      this.failures = 0;
    } catch (error) {
      request.reject(error);
    } finally {
      this.running.delete(request);
      if (this.alive.has(worker) && !worker.killed) this.idle.push(worker);
      this.dispatch();
    }
  }

  /** A request that nobody waits for any more leaves the queue. Its run may end by itself: to load the model again takes longer, mostly. */
  private giveUp(request: Request, error: IpgraftError): void {
    request.reject(error);
    this.running.get(request)?.killUnlessDone();
    if (this.waiting.delete(request)) this.dispatch();
  }

  private adopt(worker: WorkerProcess): void {
    this.lost = null;
    this.alive.add(worker);
    this.idle.push(worker);
    void worker.ended.then(() => this.lose(worker));
  }

  private lose(worker: WorkerProcess): void {
    this.alive.delete(worker);
    const at = this.idle.indexOf(worker);
    if (at !== -1) this.idle.splice(at, 1);
    if (this.ending.signal.aborted) return;
    if (!worker.killed) this.failures += 1;
    const replacement: Promise<void> = this.replace().finally(() => this.replacements.delete(replacement));
    this.replacements.add(replacement);
  }

  /** Starts another worker, however often that takes. */
  private async replace(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      try {
        if (this.failures > 0)
          await delay(Math.min(FIRST_WAIT * 2 ** (this.failures - 1), LONGEST_WAIT), undefined, { signal });
        await refuseChanged(this.loaded.files);
        const { worker, loaded } = await WorkerProcess.start(this.order, this.options.loadTimeout, signal);
        if (signal.aborted || JSON.stringify(loaded) !== JSON.stringify(this.loaded)) {
          worker.kill();
          await worker.ended;
          throw new IpgraftError(
            'RUNTIME_LOAD',
            'the files hold another model than the one that was loaded first',
          );
        }
        this.adopt(worker);
        this.dispatch();
        return;
      } catch (error) {
        this.failures += 1;
        if (this.alive.size === 0 && this.failures >= FAILURES) await this.loseAll(error as Error);
      }
    }
  }

  /** Says that no worker is left, to those who wait and those who come, until one starts after all. */
  private async loseAll(cause: Error): Promise<void> {
    const why = (await this.hasChanged()) ? ': its files have changed since it was loaded' : '';
    this.lost = new IpgraftError(
      'SERVER_MODEL_NOT_READY',
      `the model is not ready: no worker is left, and none starts${why}`,
      {},
      { cause },
    );
    for (const request of this.waiting) request.reject(this.lost);
    this.waiting.clear();
    this.dispatch();
  }

  private async drain(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.drained = resolve;
      this.ending.signal.addEventListener('abort', () => resolve());
      this.dispatch();
    });
    this.end();
    await Promise.all([...this.alive].map((worker) => worker.ended));
    await Promise.all(this.replacements);
  }

  private end(): void {
    if (this.ending.signal.aborted) return;
    this.ending.abort();
    for (const request of [...this.waiting, ...this.running.keys()])
      request.reject(new IpgraftError('SERVER_CANCELLED', 'the model was closed'));
    this.waiting.clear();
    for (const worker of this.alive) worker.kill();
  }
}
