import type { PickedImage } from './picked-image.js';
import type { ServedPipeline } from './served.js';

/** How strongly an adapter counts, and when. */
export interface AdapterSettings {
  readonly scale: number;
  /** What its layers have of the scale, in checkpoint order. */
  readonly shares: readonly number[];
  /** From and to which share of the steps. */
  readonly start: number;
  readonly end: number;
}

/** All that is asked for but images. */
export interface Settings {
  readonly model: string;
  readonly prompt: string;
  readonly negative: string;
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly seed: number;
  readonly guidance: number;
  readonly scheduler: string;
  readonly pictures: number;
  readonly strength: number;
  /** In the order of the UNet's adapters. */
  readonly adapters: readonly AdapterSettings[];
}

/** All that is asked for. */
export interface Wish extends Settings {
  /** Those of each adapter. */
  readonly images: readonly (readonly PickedImage[])[];
  readonly initImage: PickedImage | undefined;
  readonly mask: PickedImage | undefined;
}

/** What is asked for before anybody changes it. */
export function firstSettings(model: string, pipeline: ServedPipeline): Settings {
  return {
    model,
    prompt: '',
    negative: '',
    width: pipeline.width,
    height: pipeline.height,
    steps: Math.min(25, pipeline.limits.steps),
    seed: newSeed(),
    guidance: 7.5,
    scheduler: pipeline.scheduler,
    pictures: 1,
    strength: 0.8,
    adapters: pipeline.adapters.map(({ layers, default: scale }) => ({
      scale,
      shares: layers.map(() => 1),
      start: 0,
      end: 1,
    })),
  };
}

/** Any of 32 bits. */
export function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** The adapter's scale as a request has it: a number, one for each layer, or `undefined` where the model says. */
export function scaleOf(
  { scale, shares }: AdapterSettings,
  kind: string,
): number | readonly number[] | undefined {
  // Layers that nothing is known of have one scale for all.
  if (kind === 'layers' && shares.length > 0)
    return shares.map((share) => Math.round(share * scale * 1e4) / 1e4);
  return isOpen(kind) ? scale : undefined;
}

/** Whether a request may say this scale. */
export function isOpen(scale: string): boolean {
  return scale === 'layers' || scale === 'one';
}

/** The same with all scales 0. */
export function withoutImages(wish: Wish): Wish {
  return { ...wish, adapters: wish.adapters.map((each) => ({ ...each, scale: 0 })) };
}
