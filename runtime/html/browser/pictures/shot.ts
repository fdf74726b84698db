import type { Made } from './paint.js';
import type { PickedImage } from './picked-image.js';
import type { ServedPipeline } from './served.js';
import { isOpen, type Wish } from './wish.js';

/** A picture of this visit. */
export interface Shot {
  /** Counted from 1. */
  readonly number: number;
  /** What gives it alone. */
  readonly wish: Wish;
  readonly pipeline: ServedPipeline;
  readonly made: Made;
  readonly image: PickedImage;
}

/** What a shot shows, for those who do not see it. */
export function altOf({ number, wish }: Shot): string {
  const words = wish.prompt.trim() || 'without a prompt';
  return `Picture ${number}: ${words.length > 120 ? `${words.slice(0, 120)}…` : words}`;
}

/** Whether images count in it, by scales that a request may make 0. */
export function canCompare({ wish, pipeline }: Shot): boolean {
  return pipeline.adapters.some(
    ({ scale }, i) => isOpen(scale) && wish.adapters[i]!.scale !== 0 && wish.images[i]!.length > 0,
  );
}
