import { IpgraftError } from '../../../compiler/errors.js';
import type { InferOptions } from '../backend.js';
import { LONGEST_TIMER } from '../longest-timer.js';

/** One run that several wait for, each as long as it likes. It is given up when nobody waits any more. */
export class SharedRun<T> {
  private readonly result: Promise<T>;
  private readonly nobody = new AbortController();
  private readonly onAbandoned: () => void;
  private waiting = 0;

  /**
   * @param run is to end when its signal is aborted
   * @param onAbandoned is called when the last one leaves: whoever comes later needs another run
   */
  constructor(run: (signal: AbortSignal) => Promise<T>, onAbandoned: () => void) {
    this.onAbandoned = onAbandoned;
    this.result = run(this.nobody.signal);
  }

  /**
   * The result, or what ended the wait before it was there.
   * @throws IpgraftError `SERVER_CANCELLED`, `SERVER_TIMEOUT`, and what the run throws
   */
  wait({ signal, timeout }: Pick<InferOptions, 'signal' | 'timeout'>): Promise<T> {
    this.waiting++;
    return new Promise<T>((resolve, reject) => {
      const leave = (error: IpgraftError) => {
        end();
        reject(error);
        if (this.waiting > 0) return;
        this.onAbandoned();
        this.nobody.abort();
      };
      const onAbort = () => leave(new IpgraftError('SERVER_CANCELLED', 'given up by whoever asked'));
      const onTimeout = () =>
        leave(new IpgraftError('SERVER_TIMEOUT', `not answered within ${timeout} ms`, { limit: timeout! }));
      const timer =
        timeout === undefined ? undefined : setTimeout(onTimeout, Math.min(timeout, LONGEST_TIMER));
      let isOver = false;
      const end = () => {
        if (isOver) return;
        isOver = true;
        this.waiting--;
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      signal?.addEventListener('abort', onAbort);
      this.result.then(resolve, reject).finally(end);
    });
  }
}
