import { VERSION } from '../version.js';
import type { PicturePlan } from './generate.js';
import { parametersText } from './images/parameters-text.js';
import type { Pipeline } from './pipeline.js';
import type { PictureRequest } from './request.js';

/**
 * The text in the file of a picture that {@link parametersText} writes.
 * @param seed of this picture
 * @param model what the pipeline is called
 */
export function parametersOf(
  pipeline: Pipeline,
  request: PictureRequest,
  { size, scheduler }: Pick<PicturePlan, 'size' | 'scheduler'>,
  seed: number,
  model: string,
): string {
  const adapters = (pipeline.unet.graft?.adapters ?? []).flatMap(({ name }, i) => {
    const prompt = request.adapters[i];
    if (prompt === undefined || (prompt.images.length === 0 && prompt.embeds === undefined)) return [];
    return [prompt.scale === undefined ? name : `${name} ${JSON.stringify(prompt.scale)}`];
  });
  return parametersText({
    ...request,
    ...size,
    negativePrompt: request.negativePrompt,
    scheduler,
    seed,
    model,
    strength: request.initImage === undefined ? undefined : request.strength,
    adapters,
    version: VERSION,
  });
}
