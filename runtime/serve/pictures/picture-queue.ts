import { IpgraftError } from '../../../compiler/errors.js';
import { retryAfter } from '../retry-after.js';

/** Somebody in the queue. */
interface Place {
  /** How many are before it now. */
  readonly onPosition: ((position: number) => void) | undefined;
  readonly begin: () => void;
}

/** How work waits for its turn. */
export interface WaitOptions {
  /** Leaves the queue when it is aborted, with its reason. What runs must look after itself. */
  readonly signal: AbortSignal;
  /** Told how many are before it: at once if it has to wait, and whenever there are fewer. */
  readonly onPosition?: (position: number) => void;
}

/** So many run at once, so many others wait, in their order. */
export class PictureQueue {
  private readonly workers: number;
  private readonly size: number;
  private readonly waiting = new Set<Place>();
  private running = 0;

  constructor(workers: number, size: number) {
    this.workers = workers;
    this.size = size;
  }

  get load(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.waiting.size, running: this.running };
  }

  /**
   * Refuses what would find no place. @param seconds that one takes, to tell when to ask again
   * @throws IpgraftError `SERVER_BUSY`, with the whole seconds to wait as the fact `retryAfter`
   */
  refuseFull(seconds: number): void {
    const { waiting, running } = this.load;
    if (running < this.workers || waiting < this.size) return;
    throw new IpgraftError('SERVER_BUSY', `${waiting} requests for pictures wait, and ${running} run`, {
      waiting,
      running,
      retryAfter: retryAfter((seconds * (waiting + 1)) / this.workers),
    });
  }

  /** Does some work when its turn has come. The queue must have room: {@link refuseFull}. */
  async run<T>(work: () => Promise<T>, { signal, onPosition }: WaitOptions): Promise<T> {
    await this.turn(signal, onPosition);
    try {
      return await work();
    } finally {
      this.running--;
      this.next();
    }
  }

  private turn(signal: AbortSignal, onPosition: WaitOptions['onPosition']): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.waiting.delete(place);
        this.tell();
        reject(signal.reason);
      };
      const place: Place = {
        onPosition,
        begin: () => {
          signal.removeEventListener('abort', leave);
          this.waiting.delete(place);
          this.running++;
          resolve();
        },
      };
      if (signal.aborted) return reject(signal.reason);
      if (this.running < this.workers) return place.begin();
      signal.addEventListener('abort', leave);
      this.waiting.add(place);
      onPosition?.(this.waiting.size - 1);
    });
  }

  private next(): void {
    const [first] = this.waiting;
    if (first === undefined || this.running >= this.workers) return;
    first.begin();
    this.tell();
  }

  private tell(): void {
    for (const [position, { onPosition }] of [...this.waiting].entries()) onPosition?.(position);
  }
}
