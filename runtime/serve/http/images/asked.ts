import type { GenerationRequest } from '../../pictures/generation-request.js';
import type { PictureOrder } from '../../pictures/picture-order.js';
import type { ServedPipeline } from '../../pictures/served-pipeline.js';

/** A request for pictures, read. */
export interface Asked {
  readonly fields: GenerationRequest;
  readonly order: PictureOrder;
  readonly pipeline: ServedPipeline;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}
