import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { onnx } from '../compiler/onnx/proto.js';
import { normalNumbers } from '../runtime/validate/seeded-inputs.js';
import { adapterPath, modelPath } from './fixtures.js';
import { appendTokens, largestDifference, reference, type Values } from './numbers.js';
import { type KindOptions, type PatchedFile, patchFile } from './patched.js';
import { load, type Session, unetInputs } from './session.js';

const MODEL = 'sd15-sdpa-dynamo18';
const [BASE, PLUS] = [adapterPath('sd15', 'base'), adapterPath('sd15', 'plus')];
const WIDTH = 24;
const ROWS = 2;
const TOLERANCE = 2e-6;

type Feeds = Record<string, Values>;
type Run = (feeds: Feeds) => Promise<Float32Array>;

const open: Session[] = [];

/** A model that runs on the base's inputs of the reference and on what is given with them. */
async function model(adapters: readonly string[], options: KindOptions): Promise<Run> {
  const { path } = await patchFile(modelPath(MODEL), adapters, options);
  return running(path);
}

async function running(path: string, output = 'out_sample'): Promise<Run> {
  const session = await load(path);
  open.push(session);
  const inputs = unetInputs(await reference('sd15', 'base'));
  return async (feeds) => (await session.run({ ...inputs, ...feeds })).get(output)!.data;
}

/** Numbers of about the size of image tokens, from a seed, so that a failing case is small to write down. */
function tokensOf(seed: number, count: number, rows = ROWS): Values {
  const data = Float32Array.from({ length: rows * count * WIDTH }, normalNumbers(seed));
  return { dims: [rows, count, WIDTH], data };
}

function scales(...values: number[]): Values {
  return { dims: [values.length], data: Float32Array.from(values) };
}

const seed = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const scale = fc.float({ min: -2, max: 2, noNaN: true });

async function holds<T extends [unknown, ...unknown[]]>(
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  law: (...values: T) => Promise<void>,
): Promise<void> {
  const property = fc.asyncProperty(...(arbitraries as unknown as [fc.Arbitrary<unknown>]), (...values) =>
    law(...(values as unknown as T)),
  );
  await fc.assert(property as fc.IAsyncProperty<[unknown]>, { numRuns: 12 });
}

function near(a: ArrayLike<number>, b: ArrayLike<number>, tolerance = TOLERANCE): void {
  const difference = largestDifference(a, b);
  assert.ok(difference <= tolerance, `${difference}`);
}

describe('properties of a patched UNet', () => {
  let base: Float32Array;
  let one: Run;

  before(async () => {
    base = await (await running(modelPath(MODEL)))({});
    one = await model([BASE], { tokens: 'input' });
  });

  after(async () => {
    for (const session of open) await session.release();
  });

  it('scale 0 is the base, whatever the image', () =>
    holds([seed], async (n) => {
      assert.equal(
        largestDifference(await one({ ip_hidden_states: tokensOf(n, 4), ip_scale: scales(0) }), base),
        0,
      );
    }));

  it('tokens of zeros are the base, whatever the scale', () =>
    holds([scale], async (s) => {
      const zeros = { dims: [ROWS, 4, WIDTH], data: new Float32Array(ROWS * 4 * WIDTH) };
      assert.equal(largestDifference(await one({ ip_hidden_states: zeros, ip_scale: scales(s) }), base), 0);
    }));

  it('the order of an image’s tokens does not matter', () =>
    holds([seed, scale, fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 })], async (n, s, order) => {
      const tokens = tokensOf(n, 4);
      const moved = new Float32Array(tokens.data.length);
      for (let row = 0; row < ROWS; row++)
        order.forEach((from, to) => {
          const at = (token: number) => (row * 4 + token) * WIDTH;
          moved.set(tokens.data.subarray(at(from), at(from) + WIDTH), at(to));
        });
      near(
        await one({ ip_hidden_states: tokens, ip_scale: scales(s) }),
        await one({ ip_hidden_states: { ...tokens, data: moved }, ip_scale: scales(s) }),
      );
    }));

  it('copies of one image are the image', async () => {
    const three = await model([BASE], { tokens: 'input', images: [3] });
    await holds([seed, scale], async (n, s) => {
      const tokens = tokensOf(n, 4, 1);
      const copies = Float32Array.from([...tokens.data, ...tokens.data, ...tokens.data]);
      near(
        await one({ ip_hidden_states: tokens, ip_scale: scales(s) }),
        await three({ ip_hidden_states: { dims: [1, 12, WIDTH], data: copies }, ip_scale: scales(s) }),
      );
    });
  });

  it('a different image in one row leaves the other row as it was', () =>
    holds([seed, seed], async (n, m) => {
      const [first, second] = [tokensOf(n, 4), tokensOf(m, 4)];
      const mixed = Float32Array.from([
        ...first.data.subarray(0, first.data.length / 2),
        ...second.data.subarray(second.data.length / 2),
      ]);
      const run = (data: Float32Array) =>
        one({ ip_hidden_states: { dims: first.dims, data }, ip_scale: scales(1) });
      const [a, b] = [await run(first.data), await run(mixed)];
      near(a.subarray(0, a.length / 2), b.subarray(0, b.length / 2), 0);
    }));

  it('one image under a mask of ones is the image without a mask', async () => {
    const masked = await model([BASE], { tokens: 'input', masks: true });
    await holds([seed, scale, fc.constantFrom(4, 16, 64)], async (n, s, side) => {
      const feeds = { ip_hidden_states: tokensOf(n, 4), ip_scale: scales(s) };
      const ip_mask = { dims: [1, 1, side, side], data: new Float32Array(side * side).fill(1) };
      near(await masked({ ...feeds, ip_mask }), await one(feeds));
    });
  });

  it('images under masks of ones are added up: not what they are under one softmax', async () => {
    const masked = await model([BASE], { tokens: 'input', masks: true, images: [2] });
    const joint = await model([BASE], { tokens: 'input', images: [2] });
    const twice = await model([BASE, BASE], { tokens: 'input' });
    await holds([seed], async (n) => {
      const tokens = tokensOf(n, 8, 1);
      const half = tokens.data.length / 2;
      const ip_mask = { dims: [2, 1, 8, 8], data: new Float32Array(128).fill(1) };
      const apart = await masked({ ip_hidden_states: tokens, ip_scale: scales(1), ip_mask });
      near(
        apart,
        await twice({
          ip_hidden_states: { dims: [1, 4, WIDTH], data: tokens.data.subarray(0, half) },
          ip_hidden_states_2: { dims: [1, 4, WIDTH], data: tokens.data.subarray(half) },
          ip_scale: scales(1, 1),
        }),
      );
      const together = await joint({ ip_hidden_states: tokens, ip_scale: scales(1) });
      assert.ok(largestDifference(apart, together) > 1e-3);
    });
  });

  it('one adapter twice, at 0.3 and 0.7, is the adapter at 1', async () => {
    const twice = await model([BASE, BASE], { tokens: 'input' });
    await holds([seed, fc.float({ min: 0, max: 1, noNaN: true })], async (n, share) => {
      const tokens = tokensOf(n, 4);
      near(
        await twice({
          ip_hidden_states: tokens,
          ip_hidden_states_2: tokens,
          ip_scale: scales(share, 1 - share),
        }),
        await one({ ip_hidden_states: tokens, ip_scale: scales(1) }),
      );
    });
  });

  it('adapters may stand in any order', async () => {
    const [forth, back] = [
      await model([BASE, PLUS], { tokens: 'input' }),
      await model([PLUS, BASE], { tokens: 'input' }),
    ];
    await holds([seed, scale, scale], async (n, s, t) => {
      const [four, sixteen] = [tokensOf(n, 4), tokensOf(n + 1, 16)];
      near(
        await forth({ ip_hidden_states: four, ip_hidden_states_2: sixteen, ip_scale: scales(s, t) }),
        await back({ ip_hidden_states: sixteen, ip_hidden_states_2: four, ip_scale: scales(t, s) }),
        1e-5,
      );
    });
  });

  it('tokens behind the text are tokens of their own', async () => {
    const split = await model([BASE], { tokens: 'split' });
    const text = (await reference('sd15', 'base')).get('encoder_hidden_states');
    await holds([seed, scale], async (n, s) => {
      const tokens = tokensOf(n, 4);
      const behind = await split({ encoder_hidden_states: appendTokens(text, tokens), ip_scale: scales(s) });
      assert.equal(
        largestDifference(behind, await one({ ip_hidden_states: tokens, ip_scale: scales(s) })),
        0,
      );
    });
  });

  it('in front of to_out a layer is affine in its scale', async () => {
    const { path, patched } = await patchFile(modelPath(MODEL), [BASE], { tokens: 'input' });
    const sum = sumOfFirstLayer({ path, patched });
    expose(path, sum);
    const layer = await running(path, sum);
    await holds([seed, scale], async (n, s) => {
      const at = (value: number) => layer({ ip_hidden_states: tokensOf(n, 4), ip_scale: scales(value) });
      const [zero, unit, found] = [await at(0), await at(1), await at(s)];
      near(
        found,
        zero.map((value, i) => value + s * (unit[i]! - value)),
      );
    });
  });

  it('keys and the mean of values at the penalty’s own scale are those of the plain adapter', async () => {
    const { patched } = await patchFile(modelPath(MODEL), [BASE], { tokens: 'input' });
    const penalized = await model([BASE], {
      tokens: 'input',
      scale: 'layers',
      embedsScaling: 'k+mean-v-penalty',
    });
    const layers = patched.located.attentions.map(({ width }) => 1280 / width);
    await holds([seed], async (n) => {
      const ip_hidden_states = tokensOf(n, 4);
      near(
        await penalized({
          ip_hidden_states,
          ip_scale: { dims: [1, layers.length], data: Float32Array.from(layers) },
        }),
        await one({ ip_hidden_states, ip_scale: scales(1) }),
        1e-5,
      );
    });
  });

  it('embeds scaling: of the result it is linear, of keys and values it is not', async () => {
    const both = await model([BASE], { tokens: 'input', embedsScaling: 'k+v' });
    await holds([seed], async (n) => {
      const feeds = { ip_hidden_states: tokensOf(n, 4) };
      near(await both({ ...feeds, ip_scale: scales(1) }), await one({ ...feeds, ip_scale: scales(1) }));
      const [a, b] = [
        await both({ ...feeds, ip_scale: scales(0.5) }),
        await one({ ...feeds, ip_scale: scales(0.5) }),
      ];
      assert.ok(largestDifference(a, b) > 1e-4);
    });
  });
});

/** The value that the first layer's to_out reads. */
function sumOfFirstLayer({ patched }: PatchedFile): string {
  const { exit } = patched.located.attentions[0]!;
  return patched.graph.producer(exit.node)!.inputs[exit.input]!;
}

/** Makes an inner value an output of the model: a rewriting for this test alone. */
function expose(path: string, value: string): void {
  const decoded = onnx.ModelProto.decode(readFileSync(path));
  decoded.graph!.output!.push(
    onnx.ValueInfoProto.create({ name: value, type: { tensorType: { elemType: 1 } } }),
  );
  writeFileSync(path, onnx.ModelProto.encode(decoded).finish());
}
