import { Histogram } from './histogram.js';

/** How a request for pictures ended. */
export type Outcome = 'painted' | 'rejected' | 'cancelled' | 'timeout' | 'failed';

/** Bounds of a histogram's buckets. Seconds. */
const PICTURE_BOUNDS = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const STEP_BOUNDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What a pipeline did since the server began. */
export class PictureStatistics {
  /** Requests, by how they ended. */
  readonly requests: Record<Outcome, number> = {
    painted: 0,
    rejected: 0,
    cancelled: 0,
    timeout: 0,
    failed: 0,
  };
  /** Pictures that were made. */
  pictures = 0;
  /** Seconds of a request from its turn to its pictures. */
  readonly painting = new Histogram(PICTURE_BOUNDS);
  /** Seconds of a request in the queue. */
  readonly queueing = new Histogram(PICTURE_BOUNDS);
  /** Seconds of one step. */
  readonly steps = new Histogram(STEP_BOUNDS);
}
