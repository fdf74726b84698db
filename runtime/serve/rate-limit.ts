import { IpgraftError } from '../../compiler/errors.js';

/** How often a client may ask: `count` times at once, and as often again in each `ms` milliseconds that follow. */
export interface Rate {
  readonly count: number;
  readonly ms: number;
}

/** More clients than this are not remembered: the one that has been quiet for longest is forgotten first. 10 MB or so. */
const MOST_CLIENTS = 100_000;

/**
 * Holds each client to a rate by the generic cell rate algorithm (ITU-T I.371): of a client only the time is kept at which all that it asked
 * is paid for, each request at `ms / count` milliseconds. Unlike counts in windows it never lets more
 * than `count` through at once.
 */
export class RateLimit {
  private readonly rate: Rate;
  private readonly now: () => number;
  /** Milliseconds of the clock, by client; the client that asked last is last. */
  private readonly paidAt = new Map<string, number>();

  /** @param now a clock that only goes forward, in milliseconds */
  constructor(rate: Rate, now: () => number = () => performance.now()) {
    this.rate = rate;
    this.now = now;
  }

  /** How many clients are remembered. */
  get clients(): number {
    return this.paidAt.size;
  }

  /**
   * Counts a request of a client. One that is refused is not counted.
   * @throws IpgraftError `SERVER_RATE_LIMIT`, with the whole seconds to wait as the fact `retryAfter`
   */
  admit(client: string): void {
    const { count, ms } = this.rate;
    const now = this.now();
    const paid = Math.max(this.paidAt.get(client) ?? 0, now) + ms / count;
    const early = paid - now - ms;
    // A tenth of a microsecond: what adding up fractions costs.
    if (early > 1e-4) throw refused(this.rate, Math.ceil(early / 1000));
    this.paidAt.delete(client);
    this.forget(now);
    this.paidAt.set(client, paid);
  }

  private forget(now: number): void {
    for (const [client, paid] of this.paidAt) {
      if (paid > now && this.paidAt.size < MOST_CLIENTS) return;
      this.paidAt.delete(client);
    }
  }
}

function refused({ count, ms }: Rate, retryAfter: number): IpgraftError {
  return new IpgraftError(
    'SERVER_RATE_LIMIT',
    `too many requests: ${count} in ${ms / 1000} s are taken from one client; the next in ${retryAfter} s`,
    { retryAfter },
  );
}
