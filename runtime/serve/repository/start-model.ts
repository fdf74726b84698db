import type { ServedModel } from '../backend.js';
import { cachedModel } from '../cache/cached-model.js';
import type { ResponseCache } from '../cache/response-cache.js';
import { configuredModel } from '../config/configured-model.js';
import { type ModelConfig, NO_CONFIG } from '../config/model-config.js';
import { warmUp } from '../config/warm-up.js';
import type { ModelFiles } from './model-files.js';
import { type ModelKind, modelKind } from './model-kind.js';

/** How many processes a model has, and how many requests wait; what a configuration says of it. */
export type ModelSettings = Pick<ModelConfig, 'workers' | 'threads' | 'queueSize'>;

/** How models are loaded. */
export interface StartOptions {
  /** Loads a model file; settings that are absent are the server's. */
  readonly loadModel: (path: string, settings: ModelSettings) => Promise<ServedModel>;
  /** Processes of a model whose configuration does not say (1). */
  readonly workers?: number;
  /** Where answers are kept; without it none are. */
  readonly cache?: ResponseCache | undefined;
}

/**
 * Loads a model, holds it to its configuration, warms it up, and lets the cache keep its answers where that is asked for or the model
 * is run once per image.
 * @throws IpgraftError `SERVER_CONFIG`, and as loading and running do; then nothing is left of it
 */
export async function startModel(
  { name, path, config }: ModelFiles,
  { loadModel, workers = 1, cache }: StartOptions,
): Promise<{ readonly model: ServedModel; readonly kind: ModelKind | undefined }> {
  const { workers: ownWorkers, threads, queueSize } = config;
  const served = await loadModel(path, {
    ...(ownWorkers !== undefined && { workers: ownWorkers }),
    ...(threads !== undefined && { threads }),
    ...(queueSize !== undefined && { queueSize }),
  });
  try {
    const configured = config === NO_CONFIG ? served : configuredModel(served, config, name);
    await warmUp(served, config, ownWorkers ?? workers, name);
    const kind = await modelKind(path, configured);
    const isKept = config.responseCache ?? kind !== undefined;
    return { model: isKept && cache !== undefined ? cachedModel(configured, cache) : configured, kind };
  } catch (error) {
    await served.close(0);
    throw error;
  }
}
