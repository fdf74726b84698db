import { basename, dirname } from 'node:path';
import { readPipelineFolder } from '../../pipeline/folder/pipeline-folder.js';
import { openPipeline } from '../../pipeline/open-pipeline.js';
import type { ImageProjectionFacts } from '../../pipeline/pipeline.js';
import type { ServedModel } from '../backend.js';
import type { WatchedModel } from '../repository/watch-models.js';
import type { FoundPipeline } from './find-pipelines.js';
import { type PaintOptions, ServedPipeline } from './served-pipeline.js';

/** The models of a pipeline beside those of its adapters. */
const COMPONENTS = ['unet', 'text_encoder', 'text_encoder_2', 'vae_decoder', 'vae_encoder'] as const;

/**
 * Loads all models of a pipeline that pictures may need; when one does not load, none is left.
 * @throws IpgraftError `MODEL_FOLDER`, `MODEL_FOLDER_FILE`, `MODEL_FOLDER_ESCAPES`, and as opening the pipeline and loading do
 */
export async function startPipeline(
  { name, path }: FoundPipeline,
  loadModel: (path: string) => Promise<ServedModel>,
  options: PaintOptions,
): Promise<ServedPipeline> {
  const models: WatchedModel[] = [];
  try {
    const pipeline = await openPipeline(await readPipelineFolder(path), async (file) => {
      const model = await loadModel(file);
      models.push({ name: `${name}/${basename(dirname(file))}`, model });
      return model;
    });
    const wanted = new Set([...COMPONENTS, ...pipeline.projections.flatMap(modelsOf)]);
    for (const each of wanted) if (pipeline.models.has(each)) await pipeline.models.load(each);
    return new ServedPipeline(name, pipeline, models, options);
  } catch (error) {
    await Promise.all(models.map(({ model }) => model.close(0)));
    throw error;
  }
}

function modelsOf({ projection, keysAndValues, reads, encoder }: ImageProjectionFacts): string[] {
  return [projection, keysAndValues, reads === null ? null : encoder].filter((each) => each !== null);
}
