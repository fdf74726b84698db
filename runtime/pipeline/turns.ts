/** How long work goes on before others have a turn. Milliseconds. */
const LONGEST = 10;

/** Gives the event loop its turns in long work: timers and other requests are not to wait for it. */
export class Turns {
  private since = performance.now();

  /** Whether it has been long enough: then {@link give} is to be awaited. */
  get isDue(): boolean {
    return performance.now() - this.since > LONGEST;
  }

  /** Lets everything else go on that can. */
  async give(): Promise<void> {
    await new Promise(setImmediate);
    this.since = performance.now();
  }
}
