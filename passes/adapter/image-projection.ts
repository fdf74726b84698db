import type { CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { IpgraftError } from '../../compiler/errors.js';

/** An image projection by its shapes. B: rows, E: width of the image encoder's features, N: its tokens, C: width of the image tokens. */
export interface ImageProjection {
  readonly family: Family;
  /** T, tokens that it makes of one image. */
  readonly tokens: number;
  /** E. */
  readonly embeddingWidth: number;
  /** What it reads: pooled embeddings [B, E], or the encoder's last but one hidden states [B, N, E]. */
  readonly reads: 'pooled' | 'hidden';
  /** Heads of its attention, 64 wide each; 0 where it has none. */
  readonly heads: number;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
}

export type Family = 'base' | 'plus' | 'full-face';

/** Width of one head of the Resampler, in every published checkpoint. */
export const HEAD_WIDTH = 64;
/** A class token and 16 × 16 patches: what CLIP ViT-H/14 gives for 224 × 224 pixels. */
const FULL_FACE_TOKENS = 257;

/**
 * Tells the family from names and shapes, and checks that every tensor it needs is there.
 *
 * Source: `ImageProjModel`, `MLPProjModel` and `Resampler` of tencent-ailab/IP-Adapter; diffusers tells them by the same keys
 * (`_convert_ip_adapter_image_proj_to_diffusers`).
 * @throws IpgraftError `ADAPTER_FAMILY_UNKNOWN`, `ADAPTER_PROJECTION`
 */
export function detectProjection(
  tensors: ReadonlyMap<string, CheckpointTensor>,
  tokenWidth: number,
  file: string,
): ImageProjection {
  const shapes = new Shapes(tensors, file);
  if (tensors.has('proj.weight')) return base(shapes, tokenWidth);
  if (tensors.has('proj.3.weight')) return fullFace(shapes, tokenWidth);
  if (tensors.has('latents')) return plus(shapes, tokenWidth);
  const faceId = tensors.has('perceiver_resampler.proj_in.weight') || tensors.has('proj.0.weight');
  throw new IpgraftError(
    'ADAPTER_FAMILY_UNKNOWN',
    `${file}: sought image_proj.proj.weight, image_proj.proj.3.weight or image_proj.latents, found ${
      faceId ? 'the projection of a FaceID adapter' : [...tensors.keys()].slice(0, 3).join(', ')
    }`,
    { file, found: [...tensors.keys()].slice(0, 8) },
  );
}

function base(shapes: Shapes, c: number): ImageProjection {
  const [rows, embeddingWidth] = shapes.matrix('proj.weight');
  const tokens = rows / c;
  if (!Number.isInteger(tokens) || tokens < 1)
    throw shapes.wrong('proj.weight', `rows that are a multiple of ${c}`);
  shapes.expect('proj.bias', [rows]);
  shapes.norm('norm', c);
  return { family: 'base', tokens, embeddingWidth, reads: 'pooled', heads: 0, tensors: shapes.tensors };
}

function fullFace(shapes: Shapes, c: number): ImageProjection {
  const [inner, embeddingWidth] = shapes.matrix('proj.0.weight');
  shapes.expect('proj.0.bias', [inner]);
  shapes.expect('proj.2.weight', [c, inner]);
  shapes.expect('proj.2.bias', [c]);
  shapes.norm('proj.3', c);
  return {
    family: 'full-face',
    tokens: FULL_FACE_TOKENS,
    embeddingWidth,
    reads: 'hidden',
    heads: 0,
    tensors: shapes.tensors,
  };
}

function plus(shapes: Shapes, c: number): ImageProjection {
  const latents = shapes.of('latents');
  if (latents.length !== 3 || latents[0] !== 1) throw shapes.wrong('latents', '[1, T, D]');
  const [, tokens, d] = latents as [number, number, number];
  const [, embeddingWidth] = shapes.matrix('proj_in.weight');
  shapes.expect('proj_in.weight', [d, embeddingWidth]);
  shapes.expect('proj_in.bias', [d]);
  shapes.expect('proj_out.weight', [c, d]);
  shapes.expect('proj_out.bias', [c]);
  shapes.norm('norm_out', c);
  const [inner] = shapes.matrix('layers.0.0.to_q.weight');
  if (inner % HEAD_WIDTH !== 0)
    throw shapes.wrong('layers.0.0.to_q.weight', `rows that are a multiple of ${HEAD_WIDTH}`);
  for (let i = 0; i < resamplerDepth(shapes.tensors); i++) {
    for (const norm of ['0.norm1', '0.norm2', '1.0']) shapes.norm(`layers.${i}.${norm}`, d);
    shapes.expect(`layers.${i}.0.to_q.weight`, [inner, d]);
    shapes.expect(`layers.${i}.0.to_kv.weight`, [2 * inner, d]);
    shapes.expect(`layers.${i}.0.to_out.weight`, [d, inner]);
    const [forward] = shapes.matrix(`layers.${i}.1.1.weight`);
    shapes.expect(`layers.${i}.1.1.weight`, [forward, d]);
    shapes.expect(`layers.${i}.1.3.weight`, [d, forward]);
  }
  return {
    family: 'plus',
    tokens,
    embeddingWidth,
    reads: 'hidden',
    heads: inner / HEAD_WIDTH,
    tensors: shapes.tensors,
  };
}

/** How many layers a Resampler has: its names count them. */
export function resamplerDepth(tensors: ReadonlyMap<string, CheckpointTensor>): number {
  const layers = [...tensors.keys()].map((name) => Number(/^layers\.(\d+)\./.exec(name)?.[1] ?? -1));
  return Math.max(...layers) + 1;
}

/** Looks tensors up and says what was sought when one is missing or has another shape. */
class Shapes {
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  private readonly file: string;

  constructor(tensors: ReadonlyMap<string, CheckpointTensor>, file: string) {
    this.tensors = tensors;
    this.file = file;
  }

  of(name: string): readonly number[] {
    const tensor = this.tensors.get(name);
    if (tensor !== undefined) return tensor.shape;
    throw new IpgraftError(
      'ADAPTER_PROJECTION',
      `${this.file}: sought image_proj.${name}, the checkpoint does not have it`,
      {
        file: this.file,
        sought: name,
      },
    );
  }

  matrix(name: string): readonly [rows: number, columns: number] {
    const shape = this.of(name);
    if (shape.length !== 2) throw this.wrong(name, 'two dimensions');
    return shape as unknown as [number, number];
  }

  expect(name: string, shape: readonly number[]): void {
    if (this.of(name).join() !== shape.join()) throw this.wrong(name, `[${shape.join(', ')}]`);
  }

  norm(name: string, width: number): void {
    this.expect(`${name}.weight`, [width]);
    this.expect(`${name}.bias`, [width]);
  }

  wrong(name: string, sought: string): IpgraftError {
    const found = `[${this.of(name).join(', ')}]`;
    return new IpgraftError(
      'ADAPTER_PROJECTION',
      `${this.file}: image_proj.${name}: sought ${sought}, found ${found}`,
      {
        file: this.file,
        tensor: name,
        sought,
        found,
      },
    );
  }
}
