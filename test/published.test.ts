import assert from 'node:assert/strict';
import { openCheckpoint } from '../compiler/checkpoint/open-checkpoint.js';
import { type ByteSource, rangeSource } from '../compiler/io/byte-source.js';
import { type Adapter, readAdapters } from '../passes/adapter/adapter.js';
import { encoderOf } from '../passes/adapter/encoder.js';
import { fitAdapter } from '../passes/adapter/fit.js';
import type { Family } from '../passes/adapter/image-projection.js';
import type { Located } from '../passes/locate-cross-attention.js';
import { projectionModel } from '../runtime/project-image.js';

type Shapes = Record<string, readonly number[]>;

/** A UNet by the widths of its cross-attentions in checkpoint order. */
interface Unet {
  readonly c: number;
  readonly widths: readonly number[];
}

const repeat = (width: number, count: number): number[] => new Array<number>(count).fill(width);
const SD15: Unet = {
  c: 768,
  widths: [
    ...repeat(320, 2),
    ...repeat(640, 2),
    ...repeat(1280, 5),
    ...repeat(640, 3),
    ...repeat(320, 3),
    1280,
  ],
};
const SDXL: Unet = {
  c: 2048,
  widths: [
    ...repeat(640, 4),
    ...repeat(1280, 20),
    ...repeat(1280, 30),
    ...repeat(640, 6),
    ...repeat(1280, 10),
  ],
};

function layers({ c, widths }: Unet, group = 'ip_adapter'): Shapes {
  return Object.fromEntries(
    widths.flatMap((h, n) =>
      ['k', 'v'].map((which) => [`${group}.${2 * n + 1}.to_${which}_ip.weight`, [h, c]]),
    ),
  );
}

const RANK = 128;

/** FaceID's LoRA: four Linears of every self- and cross-attention. */
function lora({ c, widths }: Unet): Shapes {
  const shapes: Shapes = {};
  widths.forEach((h, n) => {
    for (const [id, context] of [
      [2 * n, h],
      [2 * n + 1, c],
    ] as const)
      for (const module of ['q', 'k', 'v', 'out']) {
        const reads = module === 'k' || module === 'v' ? context : h;
        shapes[`ip_adapter.${id}.to_${module}_lora.down.weight`] = [RANK, reads];
        shapes[`ip_adapter.${id}.to_${module}_lora.up.weight`] = [h, RANK];
      }
  });
  return shapes;
}

const norm = (name: string, width: number): Shapes => ({
  [`${name}.weight`]: [width],
  [`${name}.bias`]: [width],
});
const linear = (name: string, out: number, into: number): Shapes => ({
  [`${name}.weight`]: [out, into],
  [`${name}.bias`]: [out],
});

function base(c: number, e: number, tokens = 4): Shapes {
  return { ...linear('image_proj.proj', tokens * c, e), ...norm('image_proj.norm', c) };
}

function fullFace(c: number, e: number): Shapes {
  return {
    ...linear('image_proj.proj.0', e, e),
    ...linear('image_proj.proj.2', c, e),
    ...norm('image_proj.proj.3', c),
  };
}

function perceiver(prefix: string, d: number, heads: number, e: number, c: number): Shapes {
  const shapes: Shapes = {
    ...linear(`${prefix}proj_in`, d, e),
    ...linear(`${prefix}proj_out`, c, d),
    ...norm(`${prefix}norm_out`, c),
  };
  for (let i = 0; i < 4; i++)
    Object.assign(shapes, {
      ...norm(`${prefix}layers.${i}.0.norm1`, d),
      ...norm(`${prefix}layers.${i}.0.norm2`, d),
      [`${prefix}layers.${i}.0.to_q.weight`]: [64 * heads, d],
      [`${prefix}layers.${i}.0.to_kv.weight`]: [128 * heads, d],
      [`${prefix}layers.${i}.0.to_out.weight`]: [d, 64 * heads],
      ...norm(`${prefix}layers.${i}.1.0`, d),
      [`${prefix}layers.${i}.1.1.weight`]: [4 * d, d],
      [`${prefix}layers.${i}.1.3.weight`]: [d, 4 * d],
    });
  return shapes;
}

function plus(c: number, d: number, heads: number, e: number, tokens = 16): Shapes {
  return { 'image_proj.latents': [1, tokens, d], ...perceiver('image_proj.', d, heads, e, c) };
}

function face(c: number, tokens: number): Shapes {
  return {
    ...linear('image_proj.proj.0', 1024, 512),
    ...linear('image_proj.proj.2', tokens * c, 1024),
    ...norm('image_proj.norm', c),
  };
}

function facePlus(c: number, tokens: number, heads: number, e: number): Shapes {
  return { ...face(c, tokens), ...perceiver('image_proj.perceiver_resampler.', c, heads, e, c) };
}

interface Published {
  readonly file: string;
  readonly unet: Unet;
  readonly shapes: Shapes;
  readonly family: Family;
  readonly tokens: number;
  readonly encoder: string;
  /** How many tensors and numbers the published file has, by its size. */
  readonly tensors: number;
  readonly parameters: number;
  readonly lora?: number;
  readonly tokenWidth?: number;
  readonly shortcut?: number;
}

const H_POOLED = 'OpenCLIP ViT-H/14, image_embeds';
const G_POOLED = 'OpenCLIP ViT-bigG/14, image_embeds';
const H_HIDDEN = 'OpenCLIP ViT-H/14, hidden_states[-2]';
const L_HIDDEN = 'CLIP ViT-L/14 at 336 pixels, hidden_states[-2]';
const FACE = 'insightface, the normalised embedding';
const RAW_FACE = 'insightface, the embedding as it comes, as one feature';

/** Names, shapes and totals of the published files; what no test can hold is whose weights they are. */
const PUBLISHED: readonly Published[] = [
  ...['ip-adapter_sd15', 'ip-adapter_sd15_light', 'ip-adapter_sd15_light_v11'].map((file) => ({
    file,
    unet: SD15,
    shapes: { ...base(768, 1024), ...layers(SD15) },
    family: 'base' as const,
    tokens: 4,
    encoder: H_POOLED,
    tensors: 36,
    parameters: 22_319_616,
  })),
  {
    file: 'ip-adapter_sd15_vit-G',
    unet: SD15,
    shapes: { ...base(768, 1280), ...layers(SD15) },
    family: 'base',
    tokens: 4,
    encoder: G_POOLED,
    tensors: 36,
    parameters: 23_106_048,
  },
  ...['ip-adapter-plus_sd15', 'ip-adapter-plus-face_sd15', 'ip_plus_composition_sd15'].map((file) => ({
    file,
    unet: SD15,
    shapes: { ...plus(768, 768, 12, 1280), ...layers(SD15) },
    family: 'plus' as const,
    tokens: 16,
    encoder: H_HIDDEN,
    tensors: 83,
    parameters: 49_087_488,
  })),
  {
    file: 'ip-adapter-full-face_sd15',
    unet: SD15,
    shapes: { ...fullFace(768, 1280), ...layers(SD15) },
    family: 'full-face',
    tokens: 257,
    encoder: H_HIDDEN,
    tensors: 38,
    parameters: 21_794_304,
  },
  {
    file: 'ip-adapter_sdxl',
    unet: SDXL,
    shapes: { ...base(2048, 1280), ...layers(SDXL) },
    family: 'base',
    tokens: 4,
    encoder: G_POOLED,
    tensors: 144,
    parameters: 351_285_248,
  },
  {
    file: 'ip-adapter_sdxl_vit-h',
    unet: SDXL,
    shapes: { ...base(2048, 1024), ...layers(SDXL) },
    family: 'base',
    tokens: 4,
    encoder: H_POOLED,
    tensors: 144,
    parameters: 349_188_096,
  },
  ...['ip-adapter-plus_sdxl_vit-h', 'ip-adapter-plus-face_sdxl_vit-h', 'ip_plus_composition_sdxl'].map(
    (file) => ({
      file,
      unet: SDXL,
      shapes: { ...plus(2048, 1280, 20, 1280), ...layers(SDXL) },
      family: 'plus' as const,
      tokens: 16,
      encoder: H_HIDDEN,
      tensors: 191,
      parameters: 423_748_864,
    }),
  ),
  {
    file: 'ip-adapter-faceid_sd15',
    unet: SD15,
    shapes: { ...face(768, 4), ...layers(SD15), ...lora(SD15) },
    family: 'faceid',
    tokens: 4,
    encoder: FACE,
    tensors: 294,
    parameters: 48_354_816,
    lora: 25_509_888,
  },
  {
    file: 'ip-adapter-faceid_sdxl',
    unet: SDXL,
    shapes: { ...face(2048, 4), ...layers(SDXL), ...lora(SDXL) },
    family: 'faceid',
    tokens: 4,
    encoder: FACE,
    tensors: 1266,
    parameters: 535_507_968,
    lora: 185_794_560,
  },
  {
    file: 'ip-adapter-faceid-plus_sd15',
    unet: SD15,
    shapes: { ...facePlus(768, 4, 12, 1280), ...layers(SD15), ...lora(SD15) },
    family: 'faceid-plus',
    tokens: 4,
    encoder: H_HIDDEN,
    tensors: 344,
    parameters: 78_260_736,
    lora: 25_509_888,
  },
  {
    file: 'ip-adapter-faceid-plusv2_sd15',
    unet: SD15,
    shapes: { ...facePlus(768, 4, 12, 1280), ...layers(SD15), ...lora(SD15) },
    family: 'faceid-plus',
    tokens: 4,
    encoder: H_HIDDEN,
    tensors: 344,
    parameters: 78_260_736,
    lora: 25_509_888,
    shortcut: 1,
  },
  {
    file: 'ip-adapter-faceid-plusv2_sdxl',
    unet: SDXL,
    shapes: { ...facePlus(2048, 4, 32, 1280), ...layers(SDXL), ...lora(SDXL) },
    family: 'faceid-plus',
    tokens: 4,
    encoder: H_HIDDEN,
    tensors: 1316,
    parameters: 743_707_648,
    lora: 185_794_560,
    shortcut: 1,
  },
  {
    file: 'ip-adapter-faceid-portrait_sd15',
    unet: SD15,
    shapes: { ...face(768, 16), ...layers(SD15) },
    family: 'faceid',
    tokens: 16,
    encoder: FACE,
    tensors: 38,
    parameters: 32_291_328,
  },
  {
    file: 'ip-adapter-faceid-portrait_sdxl',
    unet: SDXL,
    shapes: { ...face(2048, 16), ...layers(SDXL) },
    family: 'faceid',
    tokens: 16,
    encoder: FACE,
    tensors: 146,
    parameters: 374_903_808,
  },
  ...['ip-adapter-faceid-portrait_sdxl_unnorm', 'InstantID ip-adapter'].map((file) => ({
    file,
    unet: SDXL,
    shapes: { ...plus(2048, 1280, 20, 512), ...layers(SDXL) },
    family: 'plus' as const,
    tokens: 16,
    encoder: RAW_FACE,
    tensors: 191,
    parameters: 422_765_824,
  })),
  {
    file: 'ip_adapter_plus_general',
    unet: SDXL,
    shapes: { ...plus(2048, 2048, 12, 1024), ...layers(SDXL) },
    family: 'plus',
    tokens: 16,
    encoder: L_HIDDEN,
    tensors: 191,
    parameters: 506_552_320,
  },
  {
    file: 'ipa-faceid-plus',
    unet: SDXL,
    shapes: { ...facePlus(4096, 6, 64, 1024), ...layers(SDXL, 'adapter_modules') },
    family: 'faceid-plus',
    tokens: 6,
    encoder: L_HIDDEN,
    tensors: 196,
    parameters: 1_192_903_680,
    tokenWidth: 4096,
    shortcut: 1,
  },
];

const size = (shape: readonly number[]) => shape.reduce((product, each) => product * each, 1);
const total = (shapes: Shapes) => Object.values(shapes).reduce((sum, shape) => sum + size(shape), 0);

/** A float16 safetensors file of these shapes whose weights are zeros that no disk holds. */
function sparseFile(name: string, shapes: Shapes): ByteSource {
  let end = 0;
  // As Python writes them: by name, so that 11 stands in front of 3.
  const entries = Object.entries(shapes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([tensor, shape]) => {
      const begin = end;
      end += 2 * size(shape);
      return [tensor, { dtype: 'F16', shape, data_offsets: [begin, end] }];
    });
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const head = new Uint8Array(8 + header.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(header.length), true);
  head.set(header, 8);
  return rangeSource(name, head.length + end, async (offset, length) => {
    const bytes = new Uint8Array(length);
    bytes.set(head.subarray(offset, offset + length));
    return bytes;
  });
}

function unetOf({ c, widths }: Unet, inputWidth: number): Located {
  return {
    textInput: 'encoder_hidden_states',
    textStates: 'encoder_hidden_states',
    textLinear: [],
    inputWidth,
    textTokens: null,
    attentions: widths.map((width, n) => ({ id: 2 * n + 1, scope: `${n}`, width, textWidth: c })),
  } as unknown as Located;
}

describe('published adapters, by their shapes', () => {
  for (const published of PUBLISHED) {
    const { file, unet, shapes, family, tokens, encoder, tensors, parameters } = published;
    it(`${file}: ${family}, ${tokens} tokens`, async () => {
      // The totals are those of the published files: this holds the shapes of this test to them.
      assert.deepEqual([Object.keys(shapes).length, total(shapes)], [tensors, parameters]);
      const checkpoint = await openCheckpoint(sparseFile(`${file}.safetensors`, shapes));
      const [adapter, ...others] = readAdapters(checkpoint, `${file}.safetensors`, '') as [Adapter];
      assert.equal(others.length, 0);
      const tokenWidth = published.tokenWidth ?? unet.c;
      assert.deepEqual(
        [
          adapter.projection.family,
          adapter.tokens,
          adapter.tokenWidth,
          encoderOf(adapter.projection)?.name ?? null,
        ],
        [family, tokens, tokenWidth, encoder],
      );
      assert.equal(adapter.projection.shortcut, published.shortcut ?? null);
      const inLora = adapter.lora.reduce((sum, { down, up }) => sum + size(down.shape) + size(up.shape), 0);
      assert.equal(inLora, published.lora ?? 0);
      assert.equal(fitAdapter(adapter, unetOf(unet, tokenWidth)).size, unet.widths.length);
      const other = unet === SD15 ? SDXL : SD15;
      assert.throws(() => fitAdapter(adapter, unetOf(other, other.c)), { code: 'ADAPTER_COUNT' });
      // Its projection in float32, beside which the graph is small.
      const projection = total(
        Object.fromEntries(Object.entries(shapes).filter(([name]) => name.startsWith('image_proj.'))),
      );
      const { length } = await projectionModel(adapter);
      assert.ok(length > 4 * projection && length < 4 * projection + 64_000, `${length - 4 * projection}`);
    });
  }
});
