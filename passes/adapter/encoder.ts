import type { ImageProjection } from './image-projection.js';

/** An encoder that published adapters read. */
export interface PublishedEncoder {
  /** What it is, and what of it is read. */
  readonly name: string;
  /** Whether it encodes whole images, or recognises faces. */
  readonly of: 'image' | 'face';
  /** Under which names it is published. */
  readonly published: string;
}

const VIT_H = 'laion/CLIP-ViT-H-14-laion2B-s32B-b79K (h94/IP-Adapter: models/image_encoder)';

/** Encoders of the published adapters, by what they give and how wide it is. */
const ENCODERS: Readonly<Record<string, PublishedEncoder>> = {
  'pooled 1024': { name: 'OpenCLIP ViT-H/14, image_embeds', of: 'image', published: VIT_H },
  'pooled 1280': {
    name: 'OpenCLIP ViT-bigG/14, image_embeds',
    of: 'image',
    published: 'laion/CLIP-ViT-bigG-14-laion2B-39B-b160k (h94/IP-Adapter: sdxl_models/image_encoder)',
  },
  'hidden 1280': { name: 'OpenCLIP ViT-H/14, hidden_states[-2]', of: 'image', published: VIT_H },
  'hidden 1024': {
    name: 'CLIP ViT-L/14 at 336 pixels, hidden_states[-2]',
    of: 'image',
    published: 'openai/clip-vit-large-patch14-336',
  },
  'hidden 512': {
    name: 'insightface, the embedding as it comes, as one feature',
    of: 'face',
    published: 'insightface antelopev2 or buffalo_l',
  },
  'face 512': {
    name: 'insightface, the normalised embedding',
    of: 'face',
    published: 'insightface buffalo_l',
  },
};

/** Which encoder gives what a projection reads; `null` where no published adapter reads the like. */
export function encoderOf({ family, reads, embeddingWidth }: ImageProjection): PublishedEncoder | null {
  return ENCODERS[`${family === 'faceid' ? 'face' : reads} ${embeddingWidth}`] ?? null;
}
