import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex, Readable } from 'node:stream';
import { IpgraftError } from '../../../compiler/errors.js';
import { SHORT_OF_MEMORY } from '../../session/load-runtime.js';
import { type Frame, onFrames, sendFrame } from './frames.js';
import type { Answer, Loaded, LoadOrder, Ran, RunOrder } from './messages.js';
import { WORKER_ENTRY } from './worker-entry.js';

/** How much of what a worker writes to standard error is kept, from its end. Characters. */
const LAST_WORDS = 2000;

/** Takes the answer to what was asked last. */
interface Asker {
  resolve(frame: Frame<Answer>): void;
  reject(error: IpgraftError): void;
}

/** A child process that holds a model: one question at a time. */
export class WorkerProcess {
  /** Settles when the process is gone, whatever the reason. */
  readonly ended: Promise<void>;
  /** Whether {@link kill} ended it: then nothing went wrong with it. */
  killed = false;
  private readonly child: ChildProcess;
  private readonly orders: Duplex;
  private asker: Asker | null = null;
  private lastWords = '';
  /** Milliseconds that it took to start and to load the model. */
  private loadTime = 0;
  private patience: NodeJS.Timeout | undefined;

  private constructor(child: ChildProcess) {
    this.child = child;
    this.orders = child.stdio[3] as Duplex;
    // Writing to a process that just went is told by its end.
    this.orders.on('error', () => {});
    onFrames<Answer>(this.orders, (frame) => {
      const { asker } = this;
      this.asker = null;
      clearTimeout(this.patience);
      asker?.resolve(frame);
    });
    (child.stdio[2] as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.lastWords = (this.lastWords + text).slice(-LAST_WORDS);
    });
    this.ended = new Promise((resolve) => child.once('close', () => resolve()));
    void this.ended.then(() => {
      clearTimeout(this.patience);
      this.asker?.reject(this.lost());
    });
  }

  /**
   * Starts a process and lets it load a model. When that fails, or takes longer than `timeout` milliseconds, the process is gone.
   * @throws IpgraftError `RUNTIME_MISSING`, `RUNTIME_LOAD`
   */
  static async start(
    order: LoadOrder,
    timeout: number,
    signal: AbortSignal,
  ): Promise<{ worker: WorkerProcess; loaded: Loaded }> {
    const began = performance.now();
    const child = spawn(process.execPath, [WORKER_ENTRY, JSON.stringify(order)], {
      // Nothing that a worker prints reaches what this process prints.
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      windowsHide: true,
    });
    if (child.pid === undefined) {
      const [cause] = (await once(child, 'error')) as [Error];
      throw new IpgraftError('RUNTIME_LOAD', `a worker does not start: ${cause.message}`, {}, { cause });
    }
    const worker = new WorkerProcess(child);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      worker.kill();
    }, timeout);
    const onAbort = () => worker.kill();
    signal.addEventListener('abort', onAbort);
    try {
      if (signal.aborted) worker.kill();
      const { head } = await worker.answer<Loaded>();
      worker.loadTime = performance.now() - began;
      return { worker, loaded: head };
    } catch (error) {
      worker.kill();
      await worker.ended;
      const { code, message, hint } = error as IpgraftError;
      if (code === 'RUNTIME_MISSING') throw error;
      if (late)
        throw new IpgraftError(
          'RUNTIME_LOAD',
          `it was not loaded within ${timeout} ms`,
          {},
          { cause: error },
        );
      const lost = code === 'SERVER_WORKER_LOST' ? SHORT_OF_MEMORY : hint;
      throw new IpgraftError('RUNTIME_LOAD', message, {}, { cause: error, hint: lost });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Runs the model. The bytes of the parts must stay as they are until the answer is there.
   * @throws IpgraftError what the worker throws, and `SERVER_WORKER_LOST` when it ends before it answers
   */
  run(order: Frame<RunOrder>): Promise<Frame<Ran>> {
    const answer = this.answer<Ran>();
    sendFrame(this.orders, order);
    return answer;
  }

  /** Ends the process at once, in the middle of a run too. */
  kill(): void {
    this.killed = true;
    this.child.kill('SIGKILL');
  }

  /** Ends the process when its run is not over within the time that loading the model takes: whichever comes first costs less than that. */
  killUnlessDone(): void {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.kill(), this.loadTime);
  }

  private async answer<Head extends Answer>(): Promise<Frame<Head>> {
    const frame = await new Promise<Frame<Answer>>((resolve, reject) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) reject(this.lost());
      else this.asker = { resolve, reject };
    });
    const { head } = frame;
    if (head.kind === 'failed')
      throw new IpgraftError(head.code, head.message, head.facts, { hint: head.hint });
    return frame as Frame<Head>;
  }

  private lost(): IpgraftError {
    const { exitCode, signalCode } = this.child;
    const end = signalCode ?? `exit code ${exitCode}`;
    const words = this.lastWords.trim();
    return new IpgraftError(
      'SERVER_WORKER_LOST',
      `the worker ended before it answered: ${end}${words === '' ? '' : `\n${words}`}`,
      { end },
    );
  }
}
