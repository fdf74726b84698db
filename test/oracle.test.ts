import assert from 'node:assert/strict';
import { adapterPath, EXPORTS, familyOf, KINDS, modelPath } from './fixtures.js';
import { appendTokens, largestDifference, type Reference, reference, type Values } from './numbers.js';
import { patchFile } from './patched.js';
import { load, type Session, unetInputs } from './session.js';

/** float32 and two different orders of the same sums. */
const TOLERANCE = 1e-5;
/** What the adapters do is far above it, so that a no-op cannot pass. */
const SMALLEST_EFFECT = 1e-2;

/** [B, 1, T, C], as diffusers keeps the tokens of one image per row → [B, T, C]. */
function imageTokens(expected: Reference): Values {
  const { dims, data } = expected.get('ip_hidden_states');
  return { dims: [dims[0]!, dims[2]!, dims[3]!], data };
}

/** [B, 1, E] or [B, 1, N, E] → what the image encoder gives for one image, [B, E] or [B, N, E]. */
function imageEmbeds(expected: Reference): Values {
  const { dims, data } = expected.get('image_embeds');
  return { dims: [dims[0]!, ...dims.slice(2)], data };
}

async function output(session: Session, feeds: Record<string, Values>): Promise<Float32Array> {
  return (await session.run(feeds)).get('out_sample')!.data;
}

function scaleOf(...values: number[]): Values {
  return { dims: [values.length], data: Float32Array.from(values) };
}

describe('a patched UNet computes what diffusers computes', () => {
  for (const model of EXPORTS) {
    describe(model, () => {
      for (const kind of KINDS) {
        it(`${kind}: scales 0, 0.6 and 1, and all three ways of bringing the tokens`, async () => {
          const family = familyOf(model);
          const expected = await reference(family, kind);
          const inputs = unetInputs(expected);
          const base = await load(modelPath(model));
          const untouched = await output(base, inputs);
          await base.release();
          assert.ok(largestDifference(untouched, expected.get('base').data) <= TOLERANCE, 'the base itself');
          const feeds = {
            split: {
              ...inputs,
              encoder_hidden_states: appendTokens(inputs.encoder_hidden_states!, imageTokens(expected)),
            },
            input: { ...inputs, ip_hidden_states: imageTokens(expected) },
            embeds: { ...inputs, image_embeds: imageEmbeds(expected) },
          };
          for (const tokens of ['split', 'input', 'embeds'] as const) {
            const { path } = await patchFile(modelPath(model), [adapterPath(family, kind)], { tokens });
            const session = await load(path);
            for (const scale of ['0.0', '0.6', '1.0']) {
              const result = await output(session, { ...feeds[tokens], ip_scale: scaleOf(Number(scale)) });
              const difference = largestDifference(result, expected.get(`out_scale_${scale}`).data);
              assert.ok(difference <= TOLERANCE, `${tokens}, scale ${scale}: ${difference}`);
              if (scale === '0.0')
                assert.equal(largestDifference(result, untouched), 0, 'scale 0 is the base, bit for bit');
              if (scale === '1.0')
                assert.ok(
                  largestDifference(result, untouched) >= SMALLEST_EFFECT,
                  'the adapter has an effect',
                );
            }
            await session.release();
          }
        });

        it(`${kind}: one cross-attention at a time`, async () => {
          const family = familyOf(model);
          const expected = await reference(family, kind);
          const { path, patched } = await patchFile(modelPath(model), [adapterPath(family, kind)], {
            tokens: 'input',
            scale: 'layers',
          });
          const session = await load(path);
          const feeds = { ...unetInputs(expected), ip_hidden_states: imageTokens(expected) };
          const { attentions } = patched.located;
          for (const [column, { id, scope }] of attentions.entries()) {
            const only = new Float32Array(attentions.length);
            only[column] = 1;
            const result = await output(session, {
              ...feeds,
              ip_scale: { dims: [1, only.length], data: only },
            });
            const alone = expected.get(`only_${id}`).data;
            const difference = largestDifference(result, alone);
            assert.ok(difference <= TOLERANCE, `${scope} (id ${id}): ${difference}`);
            assert.ok(
              largestDifference(alone, expected.get('base').data) > 10 * TOLERANCE,
              `${scope} has an effect of its own`,
            );
          }
          await session.release();
        });
      }
    });
  }
});

describe('checkpoint containers and number types', () => {
  for (const kind of KINDS) {
    it(`sd15-${kind}.bin gives the same model as its safetensors twin`, async () => {
      const expected = await reference('sd15', kind);
      const { path } = await patchFile(modelPath('sd15-sdpa-ts17'), [adapterPath('sd15', kind, 'bin')], {
        tokens: 'embeds',
      });
      const session = await load(path);
      const result = await output(session, {
        ...unetInputs(expected),
        image_embeds: imageEmbeds(expected),
        ip_scale: scaleOf(1),
      });
      assert.ok(largestDifference(result, expected.get('out_scale_1.0').data) <= TOLERANCE);
      await session.release();
    });

    it(`${kind} in a float16 UNet`, async () => {
      const expected = await reference('sd15', kind);
      for (const tokens of ['input', 'embeds'] as const) {
        const { path } = await patchFile(modelPath('sd15-sdpa-ts17-fp16'), [adapterPath('sd15', kind)], {
          tokens,
        });
        const session = await load(path);
        const image =
          tokens === 'input'
            ? { ip_hidden_states: imageTokens(expected) }
            : { image_embeds: imageEmbeds(expected) };
        const result = await output(session, { ...unetInputs(expected), ...image, ip_scale: scaleOf(1) });
        const difference = largestDifference(result, expected.get('out_scale_1.0').data);
        assert.ok(difference <= 5e-3, `${tokens}: ${difference}`);
        await session.release();
      }
    });
  }
});

describe('scales', () => {
  const model = 'sd15-sdpa-ts17';

  async function run(scale: string, feeds: Record<string, Values> = {}): Promise<Float32Array> {
    const expected = await reference('sd15', 'base');
    const { path } = await patchFile(modelPath(model), [adapterPath('sd15', 'base')], {
      tokens: 'input',
      scale,
    });
    const session = await load(path);
    const result = await output(session, {
      ...unetInputs(expected),
      ip_hidden_states: imageTokens(expected),
      ...feeds,
    });
    await session.release();
    return result;
  }

  it('a number is baked in', async () => {
    const expected = await reference('sd15', 'base');
    assert.ok(largestDifference(await run('0.6'), expected.get('out_scale_0.6').data) <= TOLERANCE);
    assert.ok(largestDifference(await run('1'), expected.get('out_scale_1.0').data) <= TOLERANCE);
  });

  it('optional=0.6 works for a caller that does not know ip_scale', async () => {
    const expected = await reference('sd15', 'base');
    assert.ok(largestDifference(await run('optional=0.6'), expected.get('out_scale_0.6').data) <= TOLERANCE);
  });

  for (const name of ['dict_a', 'dict_b']) {
    it(`diffusers’ dictionary ${name}`, async () => {
      const expected = await reference('sd15', 'base');
      assert.ok(largestDifference(await run(DICTIONARIES[name]!), expected.get(name).data) <= TOLERANCE);
    });
  }

  it('two adapters with 0.3 and 0.7 of the same weights are one with 1', async () => {
    const expected = await reference('sd15', 'base');
    const adapter = adapterPath('sd15', 'base');
    const tokens = imageTokens(expected);
    const { path } = await patchFile(modelPath(model), [adapter, adapter], { tokens: 'input' });
    const session = await load(path);
    const feeds = {
      ...unetInputs(expected),
      ip_hidden_states: tokens,
      ip_hidden_states_2: tokens,
      ip_scale: scaleOf(0.3, 0.7),
    };
    assert.ok(
      largestDifference(await output(session, feeds), expected.get('out_scale_1.0').data) <= TOLERANCE,
    );
    await session.release();
  });
});

/** The same as in fixtures/generate/references.py. */
const DICTIONARIES: Readonly<Record<string, string>> = {
  dict_a: '{"up": {"block_1": [0.0, 1.0, 0.0]}}',
  dict_b: '{"down": {"block_2": [0.0, 1.0]}, "mid": 0.5, "up": {"block_1": 0.7}}',
};

describe('image tokens and their batch', () => {
  it('one image serves every row of the text', async () => {
    const expected = await reference('sd15', 'base');
    const all = imageTokens(expected);
    const [, count, width] = all.dims as [number, number, number];
    const one: Values = { dims: [1, count, width], data: all.data.slice(0, count * width) };
    const repeated: Values = {
      dims: all.dims,
      data: Float32Array.from(all.data, (_, i) => one.data[i % one.data.length]!),
    };
    const { path } = await patchFile(modelPath('sd15-sdpa-ts17'), [adapterPath('sd15', 'base')], {
      tokens: 'input',
    });
    const session = await load(path);
    const feeds = { ...unetInputs(expected), ip_scale: scaleOf(1) };
    const broadcast = await output(session, { ...feeds, ip_hidden_states: one });
    const explicit = await output(session, { ...feeds, ip_hidden_states: repeated });
    assert.equal(largestDifference(broadcast, explicit), 0);
    const three: Values = { dims: [3, count, width], data: new Float32Array(3 * count * width) };
    await assert.rejects(
      output(session, { ...feeds, ip_hidden_states: three }),
      /invalid|shape|Expand/i,
      'three images for two rows',
    );
    await session.release();
  });

  it('raw zero tokens change nothing at any scale', async () => {
    const expected = await reference('sd15', 'base');
    const { dims, data } = imageTokens(expected);
    const { path } = await patchFile(modelPath('sd15-sdpa-ts17'), [adapterPath('sd15', 'base')], {
      tokens: 'input',
    });
    const session = await load(path);
    const zeros: Values = { dims, data: new Float32Array(data.length) };
    const result = await output(session, {
      ...unetInputs(expected),
      ip_hidden_states: zeros,
      ip_scale: scaleOf(3),
    });
    assert.ok(largestDifference(result, expected.get('base').data) <= TOLERANCE);
    await session.release();
  });

  it('fewer tokens than the adapter needs are refused at run time', async () => {
    const expected = await reference('sd15', 'plus');
    const inputs = unetInputs(expected);
    const { path } = await patchFile(modelPath('sd15-sdpa-ts17'), [adapterPath('sd15', 'plus')], {
      tokens: 'split',
    });
    const session = await load(path);
    await assert.rejects(output(session, { ...inputs, ip_scale: scaleOf(1) }), /Reshape/);
    await session.release();
  });
});
