import assert from 'node:assert/strict';
import { join } from 'node:path';
import { IpgraftError } from '../compiler/errors.js';
import { contentOf, ipgraft, placeModel } from './command.js';
import { adapterPath, fixturePath, formPath } from './fixtures.js';
import { kindPath } from './kinds.js';
import { reference, type Values } from './numbers.js';
import { patchFile } from './patched.js';
import { load, unetInputs } from './session.js';

const [BASE, PLUS] = [adapterPath('sd15', 'base'), adapterPath('sd15', 'plus')];

/** The UNet that the adapters in fixtures/kinds/refusals would fit but for one fault. */
function compact(): string {
  return formPath('compact-ts17');
}

interface Refusal {
  readonly code: string;
  readonly message: RegExp;
}

/** Compiles, which must fail, and leaves the folder as it was. */
async function refused(base: string, args: readonly string[], { code, message }: Refusal): Promise<void> {
  const folder = join(base, '..');
  const before = contentOf(folder);
  const outcome = await ipgraft('compile', base, ...args, '-o', join(folder, 'out.onnx'), '--json');
  const { error } = JSON.parse(outcome.stdout) as { error: { code: string; message: string; hint: string } };
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  assert.ok(error.hint.length > 10);
  assert.equal(outcome.code, new IpgraftError(code as 'ADAPTER_LORA', '').exitCode);
  assert.deepEqual(contentOf(folder), before);
}

describe('adapters that are no IP-Adapters of a UNet', () => {
  for (const [file, model] of [
    ['sd3', 'SD3'],
    ['flux-xlabs', 'Flux'],
    ['flux-raw', 'Flux'],
    ['pulid', 'PuLID'],
    ['pulid-renamed', 'PuLID'],
    ['pulid-flux', 'PuLID'],
  ])
    it(`${file}: refused as an adapter of ${model}`, () =>
      refused(compact(), ['-a', kindPath(`refusals/${file}.safetensors`)], {
        code: 'ADAPTER_NOT_FOR_UNET',
        message: new RegExp(`sought an IP-Adapter of a UNet, found .*: this is an adapter of ${model}`),
      }));
});

describe('adapters with a fault', () => {
  for (const [file, code, message] of [
    [
      'kv-rows.safetensors',
      'ADAPTER_LAYERS',
      /layer 5 has the shapes \[8,24\] and \[\d+,24\]|layer 5 has the shapes/,
    ],
    ['kv-columns.safetensors', 'ADAPTER_LAYERS', /layer 5 has the shapes/],
    ['kv-missing.safetensors', 'ADAPTER_LAYERS', /layer 5 has only one of to_k_ip and to_v_ip/],
    ['even-id.safetensors', 'ADAPTER_LAYERS', /sought ids 1, 3, 5… without gaps, found 1, 3, 4, 5/],
    ['no-layers.bin', 'ADAPTER_FAMILY_UNKNOWN', /sought tensors named image_proj.… and ip_adapter.…/],
    ['lora-ranks.safetensors', 'ADAPTER_LORA', /sought down \[r, in\] and up \[out, r\], found/],
    ['lora-half.safetensors', 'ADAPTER_LORA', /has only one of down and up/],
    ['lora-width.safetensors', 'ADAPTER_LORA', /the LoRA of layer \d+ changes a weight of/],
  ] as const)
    it(file, () => refused(compact(), ['-a', kindPath(`refusals/${file}`)], { code, message }));

  it('without its LoRA an adapter whose LoRA does not fit is taken', async () => {
    const { code } = await ipgraft(
      'compile',
      compact(),
      '-a',
      kindPath('refusals/lora-width.safetensors'),
      '--lora-scale',
      '0',
      '--dry-run',
    );
    assert.equal(code, 0);
  });

  it('a LoRA for a UNet whose weights are quantized, or have no names', async () => {
    for (const form of ['int8', 'anonymous-ts17', 'fused_qkv']) {
      const path = formPath(`compact-${form}`);
      await refused(path, ['-a', kindPath('refusals/lora-width.safetensors')], {
        code: 'MATCH_LORA',
        message: /sought the linear layer .*attn1\.to_q with a float weight, found/,
      });
    }
  });
});

describe('options that do not fit', () => {
  const MODEL = 'sd15-sdpa-ts17';
  const both = ['-a', BASE, PLUS];
  for (const [args, code, message] of [
    [['-a', BASE, '--images', '0'], 'OPTION_INVALID', /--images: sought whole numbers from 1, found 0/],
    [['-a', BASE, '--images', 'two'], 'OPTION_INVALID', /--images: sought whole numbers from 1, found NaN/],
    [['-a', BASE, '--images', '1,2'], 'OPTION_INVALID', /--images: 2 numbers for 1 adapters/],
    [[...both, '--scale', '[1]'], 'OPTION_SCALE', /1 scales for 2 adapters/],
    [['-a', BASE, adapterPath('sd21', 'base')], 'ADAPTER_WIDTH', /layer 1 is \[\d+, \d+\], .* needs/],
    [['-a', BASE, adapterPath('sdxl', 'base')], 'ADAPTER_COUNT', /28 layers, the UNet has 16/],
    [['-a', BASE, '--shortcut'], 'OPTION_INVALID', /--shortcut is for FaceID-Plus/],
    [['-a', BASE, '--shortcut', 'much'], 'OPTION_INVALID', /--shortcut much: sought a number/],
    [['-a', BASE, '--lora-scale', ''], 'OPTION_INVALID', /--lora-scale/],
    [['-a', BASE, '--weight-type', 'nice'], 'OPTION_INVALID', /Allowed choices are linear, ease-in/],
    [['-a', BASE, '--boost', '2'], 'OPTION_INVALID', /--boost goes with --weight-type …-precise/],
    [['-a', BASE, '--composition-weight', '2'], 'OPTION_INVALID', /--composition-weight goes with/],
    [['-a', BASE, '--embeds-scaling', 'q'], 'OPTION_INVALID', /Allowed choices are v, k\+v/],
    [['--init-from-text', '--num-tokens', '4', '--tokens', 'embeds'], 'OPTION_INVALID', /image projection/],
  ] as const)
    it(args.map((arg) => arg.split('/').at(-1)).join(' '), () =>
      refused(placeModel(MODEL).base, args, { code, message }),
    );

  it('a weight type for another architecture', async () => {
    const path = formPath('nomid-ts17');
    const adapter = fixturePath('forms', 'nomid.adapter.safetensors');
    await refused(path, ['-a', adapter, '--weight-type', 'composition'], {
      code: 'OPTION_WEIGHT_TYPE',
      message: /sought the transformers of SD1\.x .* found 6, 0 and 9/,
    });
  });

  it('keys and values in one value have one scale', async () => {
    const path = formPath('compact-mhapacked');
    await refused(
      path,
      ['-a', fixturePath('forms', 'compact.adapter.safetensors'), '--embeds-scaling', 'k+v'],
      {
        code: 'OPTION_INVALID',
        message: /--embeds-scaling k\+v: sought keys and values of their own, found packed ones/,
      },
    );
  });
});

describe('masks that are none', () => {
  for (const [what, dims] of [
    ['no size', [1, 1]],
    ['no image axis', [1, 8, 8]],
    ['two images where there is one', [2, 1, 8, 8]],
    ['three rows where there are two', [1, 3, 8, 8]],
    ['no rows', [1, 1, 0, 8]],
  ] as const)
    it(`${what}: the model refuses to run`, async () => {
      const expected = await reference('sd15', 'base');
      const { path } = await patchFile(placeModel('sd15-sdpa-ts17').base, [BASE], {
        tokens: 'input',
        masks: true,
      });
      const session = await load(path);
      const { dims: shape, data } = expected.get('ip_hidden_states');
      const feeds: Record<string, Values> = {
        ...unetInputs(expected),
        ip_hidden_states: { dims: [shape[0]!, shape.at(-2)!, shape.at(-1)!], data },
        ip_scale: { dims: [1], data: Float32Array.of(1) },
        ip_mask: { dims, data: new Float32Array(dims.reduce((a: number, b) => a * b, 1)).fill(1) },
      };
      await assert.rejects(session.run(feeds), { code: 'RUNTIME_RUN' });
      await session.release();
    });

  it('a mask far wider than the latents has one row at least', async () => {
    const expected = await reference('sd15', 'base');
    const { path } = await patchFile(placeModel('sd15-sdpa-ts17').base, [BASE], { masks: true, scale: '1' });
    const session = await load(path);
    const inputs = unetInputs(expected);
    const ip_mask = { dims: [1, 1, 1, 2000], data: new Float32Array(2000).fill(1) };
    const results = await session.run({ ...inputs, ip_mask });
    assert.ok(results.get('out_sample')!.data.every(Number.isFinite));
    await session.release();
  });
});
