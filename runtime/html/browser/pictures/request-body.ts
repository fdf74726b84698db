import type { PickedImage } from './picked-image.js';
import type { ServedPipeline } from './served.js';
import { scaleOf, type Wish } from './wish.js';

/**
 * The body of a request for pictures. What is as the server has it anyway is left out.
 * @param encode what stands for an image
 */
export function requestBody(
  wish: Wish,
  { adapters, scheduler }: ServedPipeline,
  encode: (image: PickedImage) => string,
): Record<string, unknown> {
  const { images, initImage, mask } = wish;
  const prompts = adapters.map(({ scale: kind }, i) => {
    if (images[i]!.length === 0) return null;
    const { start, end } = wish.adapters[i]!;
    return {
      images: images[i]!.map(encode),
      scale: scaleOf(wish.adapters[i]!, kind),
      ...(start > 0 && { start }),
      ...(end < 1 && { end }),
    };
  });
  return {
    model: wish.model,
    prompt: wish.prompt,
    ...(wish.negative !== '' && { negative_prompt: wish.negative }),
    ...(wish.pictures > 1 && { n: wish.pictures }),
    size: `${wish.width}x${wish.height}`,
    steps: wish.steps,
    guidance_scale: wish.guidance,
    seed: wish.seed,
    ...(wish.scheduler !== scheduler && { scheduler: wish.scheduler }),
    ...(prompts.some((each) => each !== null) && { image_prompts: prompts }),
    ...(initImage !== undefined && { init_image: encode(initImage), strength: wish.strength }),
    ...(initImage !== undefined && mask !== undefined && { mask: encode(mask) }),
  };
}

/** All images of a wish. */
export function imagesOf({ images, initImage, mask }: Wish): readonly PickedImage[] {
  return [...images.flat(), initImage, mask].filter((each) => each !== undefined);
}
