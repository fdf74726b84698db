import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import type { ServedModel } from '../backend.js';
import { describePipeline } from './describe-pipeline.js';
import { findPipelines } from './find-pipelines.js';
import type { ServedLimits } from './picture-order.js';
import type { PaintOptions, ServedPipeline } from './served-pipeline.js';
import { startPipeline } from './start-pipeline.js';

/** How pipelines are served. */
export interface PicturesOptions extends Omit<PaintOptions, 'timeout'> {
  /** Loads a model file in as many processes as there are workers. */
  readonly loadModel: (path: string) => Promise<ServedModel>;
  readonly limits: ServedLimits;
}

/** The pipelines that are served. */
export class Pictures {
  readonly pipelines: readonly ServedPipeline[];
  readonly limits: ServedLimits;

  constructor(pipelines: readonly ServedPipeline[], limits: ServedLimits) {
    this.pipelines = pipelines;
    this.limits = limits;
  }

  /**
   * Loads the pipelines of a folder, one after the other; none stays when one fails.
   * @throws IpgraftError as {@link startPipeline}
   */
  static async start(
    folder: string,
    options: PicturesOptions & Pick<PaintOptions, 'timeout'>,
  ): Promise<Pictures> {
    const pipelines: ServedPipeline[] = [];
    try {
      for (const found of await findPipelines(folder))
        pipelines.push(await startPipeline(found, options.loadModel, options));
    } catch (error) {
      await Promise.all(pipelines.map((pipeline) => pipeline.close()));
      throw error;
    }
    return new Pictures(pipelines, options.limits);
  }

  /**
   * The pipeline of a name; without one, the only one.
   * @throws IpgraftError `SERVER_MODEL_UNKNOWN`, `PIPELINE_REQUEST` where there are several
   */
  find(name: string | undefined): ServedPipeline {
    const names = this.pipelines.map((each) => each.name);
    const [only] = this.pipelines;
    if (name === undefined && this.pipelines.length > 1)
      throw new IpgraftError('PIPELINE_REQUEST', `model: sought one of ${names.join(', ')}, found none`, {
        field: 'model',
      });
    const found = name === undefined ? only : this.pipelines.find((each) => each.name === name);
    if (found !== undefined) return found;
    const sought = only === undefined ? 'no pipeline is served here' : `sought ${names.join(' or ')}`;
    throw new IpgraftError(
      'SERVER_MODEL_UNKNOWN',
      name === undefined ? sought : `there is no pipeline “${printable(name)}”: ${sought}`,
      { field: 'model' },
    );
  }

  /** The pipelines as OpenAI's `GET /v1/models` lists models. */
  get list() {
    return { object: 'list', data: this.pipelines.map((each) => describePipeline(each, this.limits)) };
  }

  /** Gives up what runs and waits, and ends the models. */
  async close(): Promise<void> {
    await Promise.all(this.pipelines.map((pipeline) => pipeline.close()));
  }
}
