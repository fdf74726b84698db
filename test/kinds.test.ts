import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Part, Place } from '../passes/checkpoint-order.js';
import { locate } from '../passes/index.js';
import type { CrossAttention } from '../passes/locate-cross-attention.js';
import { layerWeights, type WeightType, type WeightTypeOptions } from '../passes/weight-types.js';
import { openModel } from '../runtime/open.js';
import { ipgraft } from './command.js';
import { adapterPath, fixturePath, formPath, freshFolder, modelPath } from './fixtures.js';
import { joined, kindPath, kindReference, metadataOf, single } from './kinds.js';
import { appendTokens, largestDifference, type Reference, readReference, type Values } from './numbers.js';
import { type KindOptions, patchFile } from './patched.js';
import { load, type Session, unetInputs } from './session.js';

const TOLERANCE = 1e-5;
/** One of each exporter and attention. */
const MODELS = ['sd15-sdpa-ts17', 'sd15-classic-ts14', 'sd15-sdpa-dynamo18'] as const;
/** The one with the fewest nodes: it loads in a quarter of the time. */
const MODEL = MODELS[2];
const [BASE, PLUS] = [adapterPath('sd15', 'base'), adapterPath('sd15', 'plus')];

type Feeds = Record<string, Values>;

/** Compiles, and gives what the patched model computes to `work`. */
async function computing(
  model: string,
  adapters: readonly string[],
  options: KindOptions,
  work: (run: (feeds: Feeds) => Promise<Float32Array>, session: Session) => Promise<void>,
): Promise<void> {
  const { path } = await patchFile(modelPath(model), adapters, options);
  const session = await load(path);
  try {
    await work(async (feeds) => (await session.run(feeds)).get('out_sample')!.data, session);
  } finally {
    await session.release();
  }
}

function close(found: Float32Array, expected: Values, what: string): void {
  const difference = largestDifference(found, expected.data);
  assert.ok(difference <= TOLERANCE, `${what}: ${difference}`);
}

function numbers(dims: readonly number[], data: readonly number[]): Values {
  return { dims, data: Float32Array.from(data) };
}

describe('several adapters', () => {
  for (const model of MODELS) {
    it(`${model}: their tokens behind each other, a scale each`, async () => {
      const expected = await kindReference('multi');
      const inputs = unetInputs(expected);
      const [one, two] = [
        joined(expected.get('ip_hidden_states')),
        joined(expected.get('ip_hidden_states_2')),
      ];
      inputs.encoder_hidden_states = appendTokens(appendTokens(inputs.encoder_hidden_states!, one), two);
      await computing(model, [BASE, PLUS], {}, async (run) => {
        for (const scales of [
          [1, 1],
          [0.6, 0.4],
          [1, 0],
          [0, 1],
        ])
          close(
            await run({ ...inputs, ip_scale: numbers([2], scales) }),
            expected.get(`out_${scales.join('_')}`),
            scales.join(),
          );
        const off = await run({ ...inputs, ip_scale: numbers([2], [0, 0]) });
        assert.ok(largestDifference(off, expected.get('base').data) <= TOLERANCE);
      });
    });
  }

  it('embeddings of their own, and diffusers’ dictionaries', async () => {
    const expected = await kindReference('multi');
    const feeds = {
      ...unetInputs(expected),
      image_embeds: single(expected.get('image_embeds')),
      image_embeds_2: single(expected.get('image_embeds_2')),
    };
    const scales = metadataOf('multi.reference.safetensors');
    for (const name of ['dicts', 'number_and_dict'])
      await computing(MODEL, [BASE, PLUS], { tokens: 'embeds', scale: scales[name]! }, async (run) =>
        close(await run(feeds), expected.get(name), name),
      );
  });

  it('sdxl: InstantStyle', async () => {
    const scales = metadataOf('scales-sdxl.reference.safetensors');
    const expected = await kindReference('scales-sdxl');
    const feeds = { ...unetInputs(expected), ip_hidden_states: joined(expected.get('ip_hidden_states')) };
    for (const name of ['style', 'layout', 'style_and_layout', 'broadcast', 'one_in_a_list'])
      await computing(
        'sdxl-sdpa-ts17',
        [adapterPath('sdxl', 'base')],
        { tokens: 'input', scale: scales[name]! },
        async (run) => close(await run(feeds), expected.get(name), name),
      );
  });

  it('sdxl: one adapter for the layout, another for the style', async () => {
    const scales = metadataOf('scales-sdxl-multi.reference.safetensors');
    const expected = await kindReference('scales-sdxl-multi');
    const feeds = {
      ...unetInputs(expected),
      ip_hidden_states: joined(expected.get('ip_hidden_states')),
      ip_hidden_states_2: joined(expected.get('ip_hidden_states_2')),
    };
    for (const name of ['layout_and_style', 'style_and_number'])
      await computing(
        'sdxl-sdpa-dynamo18',
        [adapterPath('sdxl', 'base'), adapterPath('sdxl', 'plus')],
        { tokens: 'input', scale: scales[name]! },
        async (run) => close(await run(feeds), expected.get(name), name),
      );
  });
});

describe('several images of one adapter', () => {
  for (const [kind, adapter, images] of [
    ['base', BASE, 3],
    ['plus', PLUS, 2],
  ] as const)
    for (const tokens of ['split', 'input', 'embeds'] as const) {
      it(`${kind}, --tokens ${tokens}: one softmax reads them all`, async () => {
        const expected = await kindReference(`images-${kind}`);
        const feeds = imageFeeds(expected, tokens);
        await computing(MODEL, [adapter], { tokens, images: [images] }, async (run) => {
          for (const scale of ['1.0', '0.6'])
            close(
              await run({ ...feeds, ip_scale: numbers([1], [Number(scale)]) }),
              expected.get(`out_scale_${scale}`),
              scale,
            );
        });
      });
    }
});

/** The inputs of a UNet with one adapter, however many images it reads. */
function imageFeeds(expected: Reference, tokens: 'split' | 'input' | 'embeds'): Feeds {
  const inputs = unetInputs(expected);
  const image = joined(expected.get('ip_hidden_states'));
  if (tokens === 'embeds') {
    const embeds = expected.get('image_embeds');
    return { ...inputs, image_embeds: embeds.dims[1] === 1 ? single(embeds) : embeds };
  }
  return tokens === 'input'
    ? { ...inputs, ip_hidden_states: image }
    : { ...inputs, encoder_hidden_states: appendTokens(inputs.encoder_hidden_states!, image) };
}

describe('a scale for each row', () => {
  it('one adapter', async () => {
    const expected = await kindReference('rows');
    await computing(MODEL, [BASE], { scale: 'rows' }, async (run) => {
      for (const rows of [
        [0.2, 0.9],
        [0, 1],
      ])
        close(
          await run({ ...imageFeeds(expected, 'split'), ip_scale: numbers([1, 2], rows) }),
          expected.get(`out_${rows.join('_')}`),
          rows.join(),
        );
      await assert.rejects(
        run({ ...imageFeeds(expected, 'split'), ip_scale: numbers([1, 3], [1, 1, 1]) }),
        { code: 'RUNTIME_RUN' },
        'three rows for two',
      );
    });
  });

  it('two adapters', async () => {
    const expected = await kindReference('rows-multi');
    const scales = metadataOf('rows-multi.reference.safetensors');
    const feeds = {
      ...unetInputs(expected),
      ip_hidden_states: joined(expected.get('ip_hidden_states')),
      ip_hidden_states_2: joined(expected.get('ip_hidden_states_2')),
    };
    await computing(MODEL, [BASE, PLUS], { tokens: 'input', scale: 'rows' }, async (run) => {
      for (const name of ['out', 'first_row_off']) {
        // The reference has them as [row][adapter].
        const rows = JSON.parse(scales[name]!) as [number, number][];
        const scale = [0, 1].flatMap((adapter) => rows.map((row) => row[adapter]!));
        close(await run({ ...feeds, ip_scale: numbers([2, 2], scale) }), expected.get(name), name);
      }
    });
  });
});

interface MaskCase {
  readonly images: readonly string[];
  readonly scale: unknown;
  readonly masks: readonly (string | null)[];
}

describe('masks', () => {
  for (const size of ['16x16', '16x24', '24x16', '24x40']) {
    const cases = JSON.parse(metadataOf(`masks-${size}.reference.safetensors`).cases!) as Record<
      string,
      MaskCase
    >;
    // Scales per layer and image at once are left to whoever multiplies masks: see docs/adapters.md.
    for (const [name, { images, scale, masks }] of Object.entries(cases).filter(
      ([name]) => name !== 'images_dict',
    )) {
      // What differs between exports is told by a few.
      for (const model of /^(left|two|images)$/.test(name) ? MODELS : [MODEL])
        it(`${model}, latents ${size}: ${name}`, async () => {
          const expected = await kindReference(`masks-${size}`);
          const options = { tokens: 'input', masks: true, images: images.map(countOf) } as const;
          const feeds: Feeds = unetInputs(expected);
          images.forEach((image, i) => {
            feeds[i === 0 ? 'ip_hidden_states' : 'ip_hidden_states_2'] = joined(
              expected.get(`${image}.ip_hidden_states`),
            );
          });
          const perAdapter = Array.isArray(scale) ? (scale as unknown[]) : images.map(() => scale);
          feeds.ip_mask = stackMasks(expected, images, masks, perAdapter);
          // A list of scales for the images of one adapter is in its masks: resizing is linear.
          const scales = perAdapter.map((each) => (Array.isArray(each) ? 1 : (each as number)));
          feeds.ip_scale = numbers([scales.length], scales);
          const adapters = images.map((image) => (image === 'plus' ? PLUS : BASE));
          await computing(model, adapters, options, async (run) =>
            close(await run(feeds), expected.get(`${name}.out`), name),
          );
        });
    }
  }
});

describe('masks on several images', () => {
  for (const [options, name] of [
    [{ scale: '1.0' }, 'images'],
    [{ weightType: { name: 'linear' }, scale: 'layers' }, 'images'],
  ] as const)
    it(`with ${JSON.stringify(options)}`, async () => {
      const expected = await kindReference('masks-16x16');
      const feeds = {
        ...unetInputs(expected),
        ip_hidden_states: joined(expected.get('base_2.ip_hidden_states')),
        ip_mask: stackMasks(expected, ['base_2'], ['images.mask'], [1]),
        ...(options.scale === 'layers' && {
          ip_scale: numbers([1, 16], new Array<number>(16).fill(1)),
        }),
      };
      const all = { tokens: 'input', masks: true, images: [2], ...options } as const;
      await computing(MODEL, [BASE], all, async (run) =>
        close(await run(feeds), expected.get(`${name}.out`), name),
      );
    });

  it('a scale that is baked in, and a factor of a layer, serve every image', async () => {
    const expected = await kindReference('masks-16x16');
    const feeds = {
      ...unetInputs(expected),
      ip_hidden_states: joined(expected.get('base_2.ip_hidden_states')),
      ip_mask: stackMasks(expected, ['base_2'], ['images.mask'], [1]),
    };
    const results: Float32Array[] = [];
    const weightType = { name: 'ease-in' } as const;
    for (const options of [{ scale: '0.6' }, { scale: 'input' }] as const)
      await computing(
        MODEL,
        [BASE],
        { tokens: 'input', masks: true, images: [2], weightType, ...options },
        async (run) => {
          results.push(
            await run({ ...feeds, ...(options.scale === 'input' && { ip_scale: numbers([1], [0.6]) }) }),
          );
        },
      );
    assert.ok(largestDifference(results[0]!, results[1]!) <= TOLERANCE);
    assert.ok(largestDifference(results[0]!, expected.get('base').data) > 1e-3);
  });

  it('in opset 11, whose Resize wants inputs that are not given to be empty', async () => {
    const { path } = await patchFile(
      formPath('compact-classic-ts11'),
      [fixturePath('forms', 'compact.adapter.safetensors')],
      { tokens: 'input', masks: true, scale: '1' },
    );
    const plain = await patchFile(
      formPath('compact-classic-ts11'),
      [fixturePath('forms', 'compact.adapter.safetensors')],
      { tokens: 'input', scale: '1' },
    );
    const expected = await readReference(fixturePath('forms', 'compact.reference.safetensors'));
    const feeds = { ...unetInputs(expected), ip_hidden_states: joined(expected.get('ip_hidden_states')) };
    const ip_mask = numbers([1, 1, 16, 16], new Array<number>(256).fill(1));
    const results: Float32Array[] = [];
    for (const [file, more] of [
      [path, { ip_mask }],
      [plain.path, {}],
    ] as const) {
      const session = await load(file);
      results.push([...(await session.run({ ...feeds, ...more })).values()][0]!.data);
      await session.release();
    }
    assert.ok(largestDifference(results[0]!, results[1]!) <= TOLERANCE);
  });
});

function countOf(image: string): number {
  return image.endsWith('_2') ? 2 : 1;
}

/** Masks of all adapters as `ip_mask` [images, 1 or B, H, W], each multiplied by its image's scale where there is one. */
function stackMasks(
  expected: Reference,
  images: readonly string[],
  masks: readonly (string | null)[],
  scales: readonly unknown[],
): Values {
  const [, , height, width] = expected.get(masks.find((mask) => mask !== null)!).dims as number[];
  const size = height! * width!;
  const planes = images.flatMap((image, i) => {
    const name = masks[i];
    // For a single image a mask of ones is no mask.
    if (name === null || name === undefined) return [new Float32Array(size).fill(1)];
    const { dims, data } = expected.get(name);
    // [B, 1, H, W] is a mask per row of one image; [1, n, H, W] a mask per image.
    if (dims[0]! > 1) return [data];
    return Array.from({ length: countOf(image) }, (_, n) => {
      const each = (scales[i] as number[] | number) ?? 1;
      const factor = Array.isArray(each) ? each[n]! : 1;
      return data.slice(n * size, (n + 1) * size).map((value) => value * factor);
    });
  });
  const rows = planes[0]!.length / size;
  return numbers(
    [planes.length, rows, height!, width!],
    planes.flatMap((plane) => [...plane]),
  );
}

describe('containers', () => {
  const forms = [
    'modules.bin',
    'modules.safetensors',
    'named.bin',
    'named.safetensors',
    'training.bin',
    'training.safetensors',
    'mixed.bin',
    'diffusers.safetensors',
  ];
  for (const form of ['bin', 'safetensors', ...forms]) {
    it(`base.${form} gives diffusers’ numbers`, async () => {
      const expected = await kindReference('containers/base');
      const feeds = { ...imageFeeds(expected, 'embeds'), ip_scale: numbers([1], [1]) };
      await computing(MODEL, [kindPath(`containers/base.${form}`)], { tokens: 'embeds' }, async (run) =>
        close(await run(feeds), expected.get('out_scale_1.0'), form),
      );
    });
  }
});

describe('the state of diffusers’ UNet', () => {
  for (const [loaded, published, reference, inputs] of [
    ['plus', ['containers/plus.safetensors'], 'multi', { image_embeds: 'image_embeds_2' }],
    ['full-face', ['containers/full-face.safetensors'], 'multi', {}],
    [
      'base+plus',
      ['containers/base.safetensors', 'containers/plus.safetensors'],
      'multi',
      { image_embeds: 'image_embeds', image_embeds_2: 'image_embeds_2' },
    ],
    ['faceid', ['faceid.adapter.bin'], 'faceid', { image_embeds: 'id_embeds' }],
    [
      'faceid-plus',
      ['faceid-plus.adapter.safetensors'],
      'faceid-plus',
      { image_embeds: 'image_embeds', id_embeds: 'id_embeds' },
    ],
  ] as const)
    it(`${loaded}: the same model as from the published file`, async () => {
      const expected = await kindReference(reference);
      const feeds: Feeds = {
        ...unetInputs(expected),
        ip_scale: numbers(
          [published.length],
          published.map(() => 0.8),
        ),
        ...Object.fromEntries(
          Object.entries(inputs).map(([input, name]) => [input, single(expected.get(name))]),
        ),
        ...(loaded === 'full-face' && { image_embeds: wideFeatures() }),
      };
      // This state was saved without the LoRA.
      const options = { tokens: 'embeds', ...(loaded === 'faceid-plus' && { loraScale: 0 }) } as const;
      const results: Float32Array[] = [];
      for (const files of [[kindPath(`containers/${loaded}.diffusers.safetensors`)], published.map(kindPath)])
        await computing(MODEL, files, options, async (run) => void results.push(await run(feeds)));
      assert.equal(largestDifference(results[0]!, results[1]!), 0);
      assert.ok(largestDifference(results[0]!, expected.get('base').data) > 1e-3);
    });
});

/** Any features for full-face, which reads 257 of them. */
function wideFeatures(): Values {
  return numbers(
    [2, 257, 20],
    Array.from({ length: 2 * 257 * 20 }, (_, i) => Math.sin(i * 0.7)),
  );
}

describe('float16', () => {
  const HALF = 'sd15-sdpa-ts17-fp16';
  const near = (found: Float32Array, expected: Values, what: string) =>
    assert.ok(largestDifference(found, expected.data) <= 5e-3, what);

  it('FaceID’s LoRA merged in float32 and rounded once; FaceID-Plus projected in float32', async () => {
    const face = await kindReference('faceid');
    await computing(HALF, [kindPath('faceid.adapter.bin')], { tokens: 'embeds' }, async (run) => {
      const feeds = { ...unetInputs(face), image_embeds: single(face.get('id_embeds')) };
      near(
        await run({ ...feeds, ip_scale: numbers([1], [1]) }),
        face.get('out_scale_1.0_lora_1.0'),
        'FaceID',
      );
    });
    const plus = await kindReference('faceid-plus');
    const options = { tokens: 'embeds', shortcut: 1 } as const;
    await computing(HALF, [kindPath('faceid-plus.adapter.safetensors')], options, async (run) => {
      const feeds = {
        ...unetInputs(plus),
        id_embeds: single(plus.get('id_embeds')),
        image_embeds: single(plus.get('image_embeds')),
      };
      near(await run({ ...feeds, ip_scale: numbers([1], [1]) }), plus.get('out_v2'), 'FaceID-Plus');
    });
  });

  it('masks, rows, weight types and scaled keys', async () => {
    const masks = await kindReference('masks-16x16');
    await computing(HALF, [BASE], { tokens: 'input', masks: true, images: [2] }, async (run) => {
      const feeds = {
        ...unetInputs(masks),
        ip_hidden_states: joined(masks.get('base_2.ip_hidden_states')),
        ip_mask: { dims: [2, 1, 32, 32], data: masks.get('images.mask').data },
      };
      near(await run({ ...feeds, ip_scale: numbers([1], [1]) }), masks.get('images.out'), 'masks');
    });
    const rows = await kindReference('rows');
    await computing(HALF, [BASE], { scale: 'rows' }, async (run) => {
      const feeds = { ...imageFeeds(rows, 'split'), ip_scale: numbers([1, 2], [0.2, 0.9]) };
      near(await run(feeds), rows.get('out_0.2_0.9'), 'rows');
    });
    const types = await kindReference('comfy-types-sd15');
    const precise = TYPE_CASES.find(({ name }) => name === 'composition precise')!;
    await computing(HALF, [BASE], { weightType: weightTypeOf(precise) }, async (run) => {
      const feeds = { ...imageFeeds(types, 'split'), ip_scale: numbers([1], [precise.weight]) };
      near(await run(feeds), types.get(precise.name), precise.name);
    });
    const penalty = await kindReference('comfy-penalty');
    const file = kindPath('comfy-penalty.adapter.safetensors');
    await computing(HALF, [file], { embedsScaling: 'k+mean-v-penalty' }, async (run) => {
      const feeds = { ...imageFeeds(penalty, 'split'), ip_scale: numbers([1], [0.6]) };
      near(await run(feeds), penalty.get('k_mean_v_penalty_0.6'), 'scaled keys');
    });
  });
});

describe('FaceID', () => {
  for (const model of MODELS) {
    it(`${model}: tokens of the face, and its LoRA in the weights`, async () => {
      const expected = await kindReference('faceid');
      const feeds = { ...unetInputs(expected), image_embeds: single(expected.get('id_embeds')) };
      for (const [lora, scales] of [
        ['1.0', ['1.0', '0.6', '0.0']],
        ['0.6', ['1.0', '0.6', '0.0']],
        ['0.0', ['1.0']],
      ] as const)
        await computing(
          model,
          [kindPath('faceid.adapter.bin')],
          { tokens: 'embeds', loraScale: Number(lora) },
          async (run) => {
            for (const scale of scales)
              close(
                await run({ ...feeds, ip_scale: numbers([1], [Number(scale)]) }),
                expected.get(`out_scale_${scale}_lora_${lora}`),
                `scale ${scale}, LoRA ${lora}`,
              );
          },
        );
    });

    it(`${model}: FaceID-Plus, version 1, version 2, and in between`, async () => {
      const expected = await kindReference('faceid-plus');
      const feeds = {
        ...unetInputs(expected),
        id_embeds: single(expected.get('id_embeds')),
        image_embeds: single(expected.get('image_embeds')),
      };
      for (const [shortcut, scale, loraScale, name] of [
        [null, 1, 1, 'out_v1'],
        [1, 1, 1, 'out_v2'],
        [0.5, 1, 1, 'out_v2_0.5'],
        [0.5, 0.6, 1, 'out_v2_0.5_scale_0.6'],
        [1, 0, 1, 'lora_only'],
        [null, 1, 0, 'out_v1_lora_0.0'],
      ] as const)
        await computing(
          model,
          [kindPath('faceid-plus.adapter.safetensors')],
          { tokens: 'embeds', shortcut, loraScale },
          async (run) =>
            close(await run({ ...feeds, ip_scale: numbers([1], [scale]) }), expected.get(name), name),
        );
    });
  }
});

describe('Kolors, whose text passes a linear layer', () => {
  for (const model of ['kolors-ts17', 'kolors-dynamo18']) {
    for (const tokens of ['input', 'embeds'] as const)
      it(`${model}, Plus, --tokens ${tokens}: tokens go around it`, async () => {
        const expected = await kindReference('kolors-plus');
        const image =
          tokens === 'input'
            ? { ip_hidden_states: joined(expected.get('ip_hidden_states')) }
            : { image_embeds: single(expected.get('image_embeds')) };
        await checkKolors(model, 'kolors-plus.adapter.safetensors', tokens, expected, image);
      });

    it(`${model}, Plus: its tokens cannot stand behind the text`, async () => {
      await assert.rejects(
        patchFile(kindPath(`${model}.onnx`), [kindPath('kolors-plus.adapter.safetensors')]),
        { code: 'OPTION_INVALID' },
      );
    });

    for (const tokens of ['split', 'input', 'embeds'] as const)
      it(`${model}, FaceID, --tokens ${tokens}: tokens go through it`, async () => {
        const expected = await kindReference('kolors-faceid');
        const states = joined(expected.get('ip_hidden_states'));
        const image = {
          split: { encoder_hidden_states: appendTokens(expected.get('encoder_hidden_states'), states) },
          input: { ip_hidden_states: states },
          embeds: {
            id_embeds: single(expected.get('id_embeds')),
            image_embeds: single(expected.get('image_embeds')),
          },
        }[tokens];
        await checkKolors(model, 'kolors-faceid.adapter.bin', tokens, expected, image as Feeds);
      });
  }
});

async function checkKolors(
  model: string,
  adapter: string,
  tokens: 'split' | 'input' | 'embeds',
  expected: Reference,
  image: Feeds,
): Promise<void> {
  const { path, patched } = await patchFile(kindPath(`${model}.onnx`), [kindPath(adapter)], {
    tokens,
    scale: 'layers',
    ...(adapter.includes('faceid') && { shortcut: 1 }),
  });
  const session = await load(path);
  const ids = patched.located.attentions.map(({ id }) => id);
  for (const [name, scaleOf] of [
    ['out_scale_1.0', () => 1],
    ['out_scale_0.6', () => 0.6],
    ['only_1', (id: number) => Number(id === 1)],
    ['only_31', (id: number) => Number(id === 31)],
    ['base', () => 0],
  ] as const) {
    const feeds = { ...unetInputs(expected), ...image, ip_scale: numbers([1, ids.length], ids.map(scaleOf)) };
    close((await session.run(feeds)).get('out_sample')!.data, expected.get(name), name);
  }
  await session.release();
}

/** What fixtures/kinds/weight_types.json says of a weight type. */
interface TypeCase {
  readonly name: string;
  readonly weight_type: string;
  readonly weight: number;
  readonly weight_composition: number;
  readonly boost: number | null;
  readonly sd15: readonly number[];
  readonly sdxl: readonly number[];
  readonly swapped: { readonly sd15: readonly number[]; readonly sdxl: readonly number[] };
}

const TYPE_CASES = (
  JSON.parse(readFileSync(fixturePath('kinds', 'weight_types.json'), 'utf8')) as { types: TypeCase[] }
).types;

/** Weights are relative to the scale. */
function weightTypeOf({ weight_type, weight, weight_composition, boost }: TypeCase): WeightTypeOptions {
  return {
    name: weight_type.replaceAll(' ', '-') as WeightType,
    composition: weight_composition / weight,
    boost: (boost ?? weight) / weight,
  };
}

/** The cross-attentions of the real SDXL, by what a weight type reads of them. */
const REAL_SDXL = [
  ...[1, 2].flatMap((block) => [0, 1].flatMap((at) => depthOf(block === 1 ? 2 : 10, 'down', block, at))),
  ...[0, 1].flatMap((block) => [0, 1, 2].flatMap((at) => depthOf(block === 1 ? 2 : 10, 'up', block, at))),
  ...depthOf(10, 'mid', 0),
].map((place, n) => ({ id: 2 * n + 1, place }) as CrossAttention);

function depthOf(depth: number, part: Part, ...numbers: number[]): Place[] {
  return Array.from({ length: depth }, (_, k) => ({ part, numbers: [...numbers, k] }));
}

describe('weight types', () => {
  for (const each of TYPE_CASES) {
    it(`${each.name}: ComfyUI’s weight at each layer of SD1.5 and SDXL`, async () => {
      const opened = await openModel(modelPath(MODEL));
      const { attentions } = locate(opened.graph, {});
      await opened.close();
      for (const [layout, of] of [
        ['sd15', attentions],
        ['sdxl', REAL_SDXL],
      ] as const) {
        const weights = layerWeights(weightTypeOf(each), of);
        const vector = of.map(({ id }) => each.weight * weights.get(id)!.factor);
        assert.ok(largestDifference(vector, each[layout]) <= 1e-6, `${layout}: ${vector}`);
        const swapped = of.filter(({ id }) => weights.get(id)!.swapped).map(({ id }) => id);
        assert.deepEqual(swapped, each.swapped[layout], layout);
      }
    });
  }

  for (const [unet, model] of [
    ['sd15', 'sd15-sdpa-dynamo18'],
    ['sdxl', 'sdxl-sdpa-dynamo18'],
  ] as const) {
    it(`${model}: computes what ComfyUI’s formulas give, baked in and by the caller`, async () => {
      const expected = await kindReference(`comfy-types-${unet}`);
      const feeds = imageFeeds(expected, 'split');
      for (const each of TYPE_CASES.filter(({ name }) => expected.has(name))) {
        const weightType = weightTypeOf(each);
        await computing(model, [adapterPath(unet, 'base')], { weightType }, async (run) =>
          close(
            await run({ ...feeds, ip_scale: numbers([1], [each.weight]) }),
            expected.get(each.name),
            each.name,
          ),
        );
        const baked = { weightType, scale: String(each.weight) };
        await computing(model, [adapterPath(unet, 'base')], baked, async (run) =>
          close(await run(feeds), expected.get(each.name), `${each.name}, baked`),
        );
      }
    });
  }

  it('are refused for a UNet that they do not know', () => {
    const other = REAL_SDXL.filter(({ place }) => place.part !== 'mid');
    assert.throws(() => layerWeights({ name: 'composition' }, other), { code: 'OPTION_WEIGHT_TYPE' });
  });

  it('swapped rows of a batch that is not guided get nothing', async () => {
    const expected = await kindReference('comfy-types-sd15');
    const row = (values: Values): Values => ({
      dims: [1, ...values.dims.slice(1)],
      data: values.data.slice(values.data.length / 2),
    });
    const feeds = imageFeeds(expected, 'split');
    const alone = {
      ...feeds,
      sample: row(feeds.sample!),
      encoder_hidden_states: row(feeds.encoder_hidden_states!),
    };
    const weightType = { name: 'composition-precise' } as const;
    await computing(MODEL, [BASE], { weightType, patterns: ['up_blocks.**.attn2'] }, async (run) => {
      const off = await run({ ...alone, ip_scale: numbers([1], [0]) });
      const on = await run({ ...alone, ip_scale: numbers([1], [1]) });
      assert.equal(largestDifference(on, off), 0);
    });
  });
});

describe('embeds scaling', () => {
  for (const model of MODELS) {
    for (const [embedsScaling, reference, adapter, prefix] of [
      ['v', 'comfy-scaling', BASE, 'v_only'],
      ['k+v', 'comfy-scaling', BASE, 'kv'],
      ['k+v-penalty', 'comfy-penalty', undefined, 'kv_penalty'],
      ['k+mean-v-penalty', 'comfy-penalty', undefined, 'k_mean_v_penalty'],
    ] as const)
      it(`${model}: ${embedsScaling}`, async () => {
        const expected = await kindReference(reference);
        const feeds = imageFeeds(expected, 'split');
        const file = adapter ?? kindPath('comfy-penalty.adapter.safetensors');
        await computing(model, [file], { embedsScaling }, async (run) => {
          for (const weight of ['0.6', '1.0'])
            close(
              await run({ ...feeds, ip_scale: numbers([1], [Number(weight)]) }),
              expected.get(`${prefix}_${weight}`),
              weight,
            );
          const off = await run({ ...feeds, ip_scale: numbers([1], [0]) });
          assert.ok(largestDifference(off, expected.get('base').data) <= TOLERANCE, 'off');
        });
        for (const weight of ['0.6', '1.0'])
          await computing(model, [file], { embedsScaling, scale: weight }, async (run) =>
            close(await run(feeds), expected.get(`${prefix}_${weight}`), `${weight}, baked`),
          );
        if (embedsScaling !== 'k+mean-v-penalty') return;
        await computing(model, [file], { embedsScaling, scale: 'layers' }, async (run) => {
          const layers = Array.from({ length: 16 }, (_, column) => 0.1 * (1 + column));
          close(
            await run({ ...feeds, ip_scale: numbers([1, 16], layers) }),
            expected.get('k_mean_v_penalty_layers'),
            'layers',
          );
        });
      });
  }
});

describe('the image projection of FaceID-Plus as a model of its own', () => {
  for (const [version, option] of [
    ['v1', '--no-shortcut'],
    ['v2', '--shortcut'],
    ['v2_0.5', '--shortcut=0.5'],
  ] as const)
    it(`${option}: diffusers’ tokens of ${version}`, async () => {
      const path = join(freshFolder(), 'image_proj.onnx');
      const adapter = kindPath('faceid-plus.adapter.safetensors');
      const { code } = await ipgraft('project', adapter, '-o', path, option);
      assert.equal(code, 0);
      const expected = await kindReference('faceid-plus');
      const session = await load(path);
      const feeds = {
        id_embeds: single(expected.get('id_embeds')),
        image_embeds: single(expected.get('image_embeds')),
      };
      const found = (await session.run(feeds)).get('ip_hidden_states')!.data;
      close(found, expected.get(`ip_hidden_states_${version}`), version);
      await session.release();
    });
});

describe('face adapters', () => {
  for (const kind of ['portrait', 'instantid'] as const) {
    const file = kind === 'portrait' ? 'portrait.adapter.safetensors' : 'instantid.adapter.bin';
    for (const tokens of ['input', 'embeds'] as const)
      it(`${kind}, --tokens ${tokens}`, async () => {
        const expected = await kindReference(kind);
        const images = expected.get('ip_hidden_states').dims[1]!;
        const embeds = expected.get('id_embeds');
        const feeds: Feeds = {
          ...unetInputs(expected),
          ...(tokens === 'input'
            ? { ip_hidden_states: joined(expected.get('ip_hidden_states')) }
            : { image_embeds: images === 1 ? single(embeds) : embeds }),
        };
        await computing(MODEL, [kindPath(file)], { tokens, images: [images] }, async (run) => {
          for (const scale of ['1.0', '0.6'])
            close(
              await run({ ...feeds, ip_scale: numbers([1], [Number(scale)]) }),
              expected.get(`out_scale_${scale}`),
              scale,
            );
        });
      });
  }
});
