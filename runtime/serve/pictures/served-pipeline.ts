import { IpgraftError } from '../../../compiler/errors.js';
import type { DenoisedStep } from '../../pipeline/denoise.js';
import { type Generated, generate, type PicturePlan } from '../../pipeline/generate.js';
import { previews } from '../../pipeline/images/preview.js';
import type { RgbImage } from '../../pipeline/images/rgb-image.js';
import { parametersOf } from '../../pipeline/parameters-of.js';
import type { Pipeline } from '../../pipeline/pipeline.js';
import { Turns } from '../../pipeline/turns.js';
import { LONGEST_TIMER } from '../longest-timer.js';
import type { WatchedModel } from '../repository/watch-models.js';
import { decodeOrder } from './decode-order.js';
import type { PictureOrder } from './picture-order.js';
import { PictureQueue } from './picture-queue.js';
import { type Outcome, PictureStatistics } from './picture-statistics.js';

/** How many pictures are made at once, and how long any may take. */
export interface PaintOptions {
  /** Requests that run at once. */
  readonly workers: number;
  /** Requests that wait beside them. */
  readonly queueSize: number;
  /** Milliseconds that a request may take, in the queue included. */
  readonly timeout: number;
}

/** A step that was taken. */
export interface PaintedStep {
  /** From 0. */
  readonly index: number;
  readonly count: number;
  /** That it took. */
  readonly seconds: number;
  /** Small and rough pictures of where it led, one for each picture. */
  readonly previews: () => readonly RgbImage[];
}

/** Whoever follows a request for pictures. */
export interface Follower {
  /** Aborted when they do not follow any more: the request ends after the run of a model that is under way. */
  readonly signal: AbortSignal;
  /** Told how many requests are before it, while it waits. */
  readonly onPosition?: (position: number) => void;
  readonly onPlan?: (plan: PicturePlan) => void;
  /** Waited for. */
  readonly onStep?: (step: PaintedStep) => void | Promise<void>;
}

/** Pictures that were made. */
export interface Painted extends Omit<Generated, 'pictures' | 'latents'> {
  readonly pictures: readonly {
    readonly image: RgbImage;
    readonly seed: number;
    /** What is written into its file. */
    readonly parameters: string;
  }[];
  /** From the turn of the request to its pictures. */
  readonly seconds: number;
}

/** A pipeline that makes pictures, its models in processes of their own. */
export class ServedPipeline {
  readonly name: string;
  readonly pipeline: Pipeline;
  readonly statistics = new PictureStatistics();
  /** Since 1970, when it was loaded. Seconds. */
  readonly created = Math.floor(Date.now() / 1000);
  readonly models: readonly WatchedModel[];
  private readonly timeout: number;
  private readonly queue: PictureQueue;
  private readonly jobs = new Set<AbortController>();
  private isClosed = false;

  constructor(name: string, pipeline: Pipeline, models: readonly WatchedModel[], options: PaintOptions) {
    this.name = name;
    this.pipeline = pipeline;
    this.models = models;
    this.timeout = options.timeout;
    this.queue = new PictureQueue(options.workers, options.queueSize);
  }

  get load(): PictureQueue['load'] {
    return this.queue.load;
  }

  /** Refuses a request that would find no place. @throws IpgraftError `SERVER_BUSY`, `SERVER_MODEL_NOT_READY` */
  refuseFull(): void {
    if (this.isClosed) throw STOPPING;
    try {
      this.queue.refuseFull(this.statistics.painting.mean);
    } catch (error) {
      this.statistics.requests.rejected++;
      throw error;
    }
  }

  /**
   * Makes pictures when their turn has come.
   * @throws IpgraftError `SERVER_BUSY`, `SERVER_TIMEOUT`, `SERVER_CANCELLED` when nobody follows any more, `SERVER_MODEL_NOT_READY` when the server stops;
   *   `PIPELINE_IMAGE`, and as {@link generate} and the models
   */
  async paint(order: PictureOrder, follower: Follower): Promise<Painted> {
    this.refuseFull();
    const job = new AbortController();
    const giveUp = () => job.abort(new IpgraftError('SERVER_CANCELLED', 'given up by whoever asked'));
    const expire = () =>
      job.abort(
        new IpgraftError('SERVER_TIMEOUT', `no picture within ${this.timeout} ms`, { limit: this.timeout }),
      );
    const timer = setTimeout(expire, Math.min(this.timeout, LONGEST_TIMER));
    follower.signal.addEventListener('abort', giveUp);
    if (follower.signal.aborted) giveUp();
    this.jobs.add(job);
    const { statistics } = this;
    const arrived = performance.now();
    const { signal } = job;
    try {
      const { onPosition } = follower;
      const painted = await this.queue.run(
        () => {
          statistics.queueing.observe((performance.now() - arrived) / 1000);
          return this.work(order, follower, signal);
        },
        { signal, ...(onPosition && { onPosition }) },
      );
      statistics.requests.painted++;
      statistics.pictures += painted.pictures.length;
      statistics.painting.observe(painted.seconds);
      return painted;
    } catch (error) {
      const cause = signal.aborted ? signal.reason : error;
      statistics.requests[outcomeOf(cause)]++;
      throw cause;
    } finally {
      clearTimeout(timer);
      follower.signal.removeEventListener('abort', giveUp);
      this.jobs.delete(job);
    }
  }

  /** Gives up what runs and waits, and ends the models. */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const job of this.jobs) job.abort(STOPPING);
    await Promise.all(this.models.map(({ model }) => model.close(0)));
  }

  private async work(order: PictureOrder, follower: Follower, signal: AbortSignal): Promise<Painted> {
    const { pipeline, statistics, name } = this;
    const began = performance.now();
    const request = await decodeOrder(order);
    let last = performance.now();
    const onStep = async ({ index, count, latents, predicted }: DenoisedStep) => {
      const seconds = (performance.now() - last) / 1000;
      statistics.steps.observe(seconds);
      await new Turns().give();
      await follower.onStep?.({
        index,
        count,
        seconds,
        previews: () => previews(predicted ?? latents, pipeline.kind),
      });
      last = performance.now();
    };
    const {
      pictures,
      latents: _,
      ...made
    } = await generate(pipeline, request, {
      signal,
      onStep,
      onPlan: (plan) => {
        last = performance.now();
        follower.onPlan?.(plan);
      },
    });
    return {
      ...made,
      pictures: pictures.map(({ image, seed }) => ({
        image,
        seed,
        parameters: parametersOf(pipeline, request, made, seed, name),
      })),
      seconds: (performance.now() - began) / 1000,
    };
  }
}

const STOPPING = new IpgraftError('SERVER_MODEL_NOT_READY', 'the server is stopping');

function outcomeOf(error: unknown): Outcome {
  switch (error instanceof IpgraftError ? error.code : undefined) {
    case 'SERVER_BUSY':
    case 'SERVER_MODEL_NOT_READY':
    case 'PIPELINE_REQUEST':
    case 'PIPELINE_IMAGE':
    case 'PIPELINE_IMAGE_PROMPT':
      return 'rejected';
    case 'SERVER_CANCELLED':
      return 'cancelled';
    case 'SERVER_TIMEOUT':
      return 'timeout';
    default:
      return 'failed';
  }
}
