import { schedulerOf } from '../../pipeline/schedulers/config.js';
import { SCHEDULER_NAMES } from '../../pipeline/schedulers/scheduler.js';
import type { Graft } from '../../pipeline/unet/graft.js';
import type { ServedLimits } from './picture-order.js';
import type { ServedPipeline } from './served-pipeline.js';

/** A pipeline in OpenAI's list of models, with what a client must know to ask it. */
export function describePipeline({ name, created, pipeline }: ServedPipeline, limits: ServedLimits) {
  const { unet, vae, models, projections, scheduler, kind } = pipeline;
  const { graft } = unet;
  const [height, width] = unet.sampleSize;
  return {
    id: name,
    object: 'model',
    created,
    owned_by: 'ipgraft',
    pipeline: {
      kind,
      width: width * vae.pixelsPerLatent,
      height: height * vae.pixelsPerLatent,
      multiple: unet.multiple * vae.pixelsPerLatent,
      schedulers: SCHEDULER_NAMES,
      scheduler: schedulerOf(scheduler) ?? 'ddim',
      inpainting: unet.inChannels > vae.latentChannels,
      init_images: models.has('vae_encoder'),
      masks: graft?.masks ?? false,
      limits,
      adapters: (graft?.adapters ?? []).map((adapter, i) => ({
        name: adapter.name,
        family: adapter.family,
        images: adapter.images,
        encoder: projections[i]!.reads !== null && models.has(projections[i]!.encoder),
        scale: SCALES[graft!.scale],
        default: graft!.defaultScale,
        layers: graft!.layers.map(({ id, scope }) => ({ path: scope, id })),
      })),
    },
  };
}

/** How many scales a request may give for an adapter. */
const SCALES: Readonly<Record<Graft['scale'], 'fixed' | 'one' | 'layers'>> = {
  constant: 'fixed',
  input: 'one',
  optional: 'one',
  rows: 'one',
  layers: 'layers',
};
