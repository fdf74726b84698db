import type { CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { IpgraftError } from '../../compiler/errors.js';

/**
 * An image projection by its shapes. B: rows, E: width of the image encoder's features, N: how many there are, C: width of the
 * image tokens.
 */
export interface ImageProjection {
  readonly family: Family;
  /** T, tokens that it makes of one image. */
  readonly tokens: number;
  /** C. */
  readonly tokenWidth: number;
  /** E. */
  readonly embeddingWidth: number;
  /** What it reads: one embedding [B, E] (CLIP's pooled one, or a face's), or features [B, N, E] (CLIP's last but one hidden states). */
  readonly reads: 'pooled' | 'hidden';
  /** Width of the face embedding that it reads beside the features; `null` where it reads none. */
  readonly faceWidth: number | null;
  /** How strongly the features' tokens are added to the face's, in FaceID-Plus v2; `null`: they take their place, as in v1. */
  readonly shortcut: number | null;
  /** Heads of its attention, 64 wide each; 0 where it has none. */
  readonly heads: number;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
}

/** How an adapter makes image tokens: the names are those of docs/adapters.md. */
export type Family = 'base' | 'plus' | 'full-face' | 'faceid' | 'faceid-plus';

/** Width of one head of the Resampler, in every published checkpoint. */
export const HEAD_WIDTH = 64;
/** A class token and 16 × 16 patches: what CLIP ViT-H/14 gives for 224 × 224 pixels. */
const FULL_FACE_TOKENS = 257;
/** What the names of the Perceiver's tensors in FaceID-Plus begin with. */
export const PERCEIVER = 'perceiver_resampler.';

/**
 * Tells the family from names and shapes, and checks that every tensor it needs is there. `layerWidth` is the width that the adapter's
 * layers read.
 *
 * Source: `ImageProjModel`, `MLPProjModel`, `Resampler`, `MLPProjModel` and `ProjPlusModel` of the face adapters in
 * tencent-ailab/IP-Adapter; diffusers tells them by the same keys (`_convert_ip_adapter_image_proj_to_diffusers`).
 * @throws IpgraftError `ADAPTER_FAMILY_UNKNOWN`, `ADAPTER_PROJECTION`
 */
export function detectProjection(
  tensors: ReadonlyMap<string, CheckpointTensor>,
  layerWidth: number,
  file: string,
): ImageProjection {
  const shapes = new Shapes(tensors, file);
  if (tensors.has('proj.weight')) return base(shapes, layerWidth);
  if (tensors.has('proj.3.weight')) return fullFace(shapes, layerWidth);
  if (tensors.has(`${PERCEIVER}proj_in.weight`)) return faceIdPlus(shapes, file);
  if (tensors.has('proj.2.weight')) return faceId(shapes, layerWidth);
  if (tensors.has('latents')) return plus(shapes, layerWidth);
  throw new IpgraftError(
    'ADAPTER_FAMILY_UNKNOWN',
    `${file}: sought image_proj.proj.weight, .proj.3.weight, .${PERCEIVER}proj_in.weight, .proj.2.weight or .latents, found ${[...tensors.keys()].slice(0, 3).join(', ')}`,
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
  return { ...PLAIN, family: 'base', tokens, tokenWidth: c, embeddingWidth, tensors: shapes.tensors };
}

/** What most projections are: one embedding, no attention, no face. */
const PLAIN = { reads: 'pooled', faceWidth: null, shortcut: null, heads: 0 } as const;

function fullFace(shapes: Shapes, c: number): ImageProjection {
  const [inner, embeddingWidth] = shapes.matrix('proj.0.weight');
  shapes.expect('proj.0.bias', [inner]);
  shapes.expect('proj.2.weight', [c, inner]);
  shapes.expect('proj.2.bias', [c]);
  shapes.norm('proj.3', c);
  return {
    ...PLAIN,
    family: 'full-face',
    tokens: FULL_FACE_TOKENS,
    tokenWidth: c,
    embeddingWidth,
    reads: 'hidden',
    tensors: shapes.tensors,
  };
}

function faceId(shapes: Shapes, c: number): ImageProjection {
  const { tokens, faceWidth } = faceTokens(shapes, c);
  const family = { family: 'faceid', tokens, tokenWidth: c, embeddingWidth: faceWidth } as const;
  return { ...PLAIN, ...family, tensors: shapes.tensors };
}

/** Linear, GELU, Linear, LayerNorm: T tokens of one face embedding. */
function faceTokens(shapes: Shapes, c: number): { tokens: number; faceWidth: number } {
  const [inner, faceWidth] = shapes.matrix('proj.0.weight');
  const [rows] = shapes.matrix('proj.2.weight');
  const tokens = rows / c;
  if (!Number.isInteger(tokens) || tokens < 1)
    throw shapes.wrong('proj.2.weight', `rows that are a multiple of ${c}`);
  shapes.expect('proj.0.bias', [inner]);
  shapes.expect('proj.2.weight', [rows, inner]);
  shapes.expect('proj.2.bias', [rows]);
  shapes.norm('norm', c);
  return { tokens, faceWidth };
}

/** Version 2 has the tensors of version 1 and another rule: the published files say so by their name alone, and Kolors' always is one. */
function faceIdPlus(shapes: Shapes, file: string): ImageProjection {
  const [c = 0] = shapes.of('norm.weight');
  const { tokens, faceWidth } = faceTokens(shapes, c);
  const { embeddingWidth, heads } = perceiver(shapes, PERCEIVER, c, c);
  return {
    family: 'faceid-plus',
    tokens,
    tokenWidth: c,
    embeddingWidth,
    reads: 'hidden',
    faceWidth,
    shortcut: /plus-?_?v2|ipa-faceid-plus/i.test(file) ? 1 : null,
    heads,
    tensors: shapes.tensors,
  };
}

function plus(shapes: Shapes, c: number): ImageProjection {
  const latents = shapes.of('latents');
  if (latents.length !== 3 || latents[0] !== 1) throw shapes.wrong('latents', '[1, T, D]');
  const [, tokens, d] = latents as [number, number, number];
  const { embeddingWidth, heads } = perceiver(shapes, '', d, c);
  return {
    ...PLAIN,
    family: 'plus',
    tokens,
    tokenWidth: c,
    embeddingWidth,
    reads: 'hidden',
    heads,
    tensors: shapes.tensors,
  };
}

/** Latents of width `d` that read features through attention, and become tokens of width `c`. */
function perceiver(
  shapes: Shapes,
  prefix: string,
  d: number,
  c: number,
): { embeddingWidth: number; heads: number } {
  const [, embeddingWidth] = shapes.matrix(`${prefix}proj_in.weight`);
  shapes.expect(`${prefix}proj_in.weight`, [d, embeddingWidth]);
  shapes.expect(`${prefix}proj_in.bias`, [d]);
  shapes.expect(`${prefix}proj_out.weight`, [c, d]);
  shapes.expect(`${prefix}proj_out.bias`, [c]);
  shapes.norm(`${prefix}norm_out`, c);
  const [inner] = shapes.matrix(`${prefix}layers.0.0.to_q.weight`);
  if (inner % HEAD_WIDTH !== 0 || inner === 0)
    throw shapes.wrong(`${prefix}layers.0.0.to_q.weight`, `rows that are a multiple of ${HEAD_WIDTH}`);
  for (let i = 0; i < resamplerDepth(shapes.tensors, prefix); i++) {
    const layer = `${prefix}layers.${i}`;
    for (const norm of ['0.norm1', '0.norm2', '1.0']) shapes.norm(`${layer}.${norm}`, d);
    shapes.expect(`${layer}.0.to_q.weight`, [inner, d]);
    shapes.expect(`${layer}.0.to_kv.weight`, [2 * inner, d]);
    shapes.expect(`${layer}.0.to_out.weight`, [d, inner]);
    const [forward] = shapes.matrix(`${layer}.1.1.weight`);
    shapes.expect(`${layer}.1.1.weight`, [forward, d]);
    shapes.expect(`${layer}.1.3.weight`, [d, forward]);
  }
  return { embeddingWidth, heads: inner / HEAD_WIDTH };
}

/** How many layers a Resampler has: its names count them. */
export function resamplerDepth(tensors: ReadonlyMap<string, CheckpointTensor>, prefix: string): number {
  const names = [...tensors.keys()].filter((name) => name.startsWith(prefix));
  const layers = names.map((name) => Number(/^layers\.(\d+)\./.exec(name.slice(prefix.length))?.[1] ?? -1));
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
