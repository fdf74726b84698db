import type { ImageProjection } from './image-projection.js';

/** Encoders of the published adapters, by what they give and how wide it is. */
const ENCODERS: Readonly<Record<string, string>> = {
  'pooled 1024': 'OpenCLIP ViT-H/14, image_embeds',
  'pooled 1280': 'OpenCLIP ViT-bigG/14, image_embeds',
  'hidden 1280': 'OpenCLIP ViT-H/14, hidden_states[-2]',
  'hidden 1024': 'CLIP ViT-L/14 at 336 pixels, hidden_states[-2]',
  'hidden 512': 'insightface, the embedding as it comes, as one feature',
  'face 512': 'insightface, the normalised embedding',
};

/** Which encoder gives what a projection reads; `null` where no published adapter reads the like. */
export function encoderOf({ family, reads, embeddingWidth }: ImageProjection): string | null {
  return ENCODERS[`${family === 'faceid' ? 'face' : reads} ${embeddingWidth}`] ?? null;
}
