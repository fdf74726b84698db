import type { ServedModel } from '../backend.js';
import type { ModelConfig } from '../config/model-config.js';
import type { InferenceStatistics } from '../statistics.js';
import type { ModelKind } from './model-kind.js';

/** A model that answers. */
export interface LoadedModel {
  readonly name: string;
  readonly version: string;
  readonly model: ServedModel;
  readonly config: ModelConfig;
  /** What part of an image's way it is, where it is one. */
  readonly kind: ModelKind | undefined;
  readonly statistics: InferenceStatistics;
  /** Seconds that loading took. */
  readonly loadSeconds: number;
}
