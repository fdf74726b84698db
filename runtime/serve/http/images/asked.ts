import type { GenerationRequest } from '../../pictures/generation-request.js';
import type { PictureOrder } from '../../pictures/picture-order.js';
import type { ServedPipeline } from '../../pictures/served-pipeline.js';

/** The fields that say how a request is answered: those with images are not kept while it waits. */
export type AnswerFields = Pick<
  GenerationRequest,
  'output_format' | 'output_compression' | 'stream' | 'partial_images' | 'previews'
>;

/** A request for pictures, read. */
export interface Asked {
  /** How it is to be answered. */
  readonly fields: AnswerFields;
  readonly order: PictureOrder;
  readonly pipeline: ServedPipeline;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}
