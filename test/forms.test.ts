import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { openModel } from '../runtime/open.js';
import { stripPatched } from '../runtime/strip-patched.js';
import { fixturePath, freshFolder, WORK } from './fixtures.js';
import { appendTokens, largestDifference, type Reference, readReference, type Values } from './numbers.js';
import { patchFile } from './patched.js';
import { load, type Session } from './session.js';

const formSchema = z.object({
  form: z.string(),
  unet: z.string(),
  file: z.string(),
  runs_on_cpu: z.boolean(),
  base_error: z.number().nullable(),
  inputs: z.record(z.string(), z.string()),
  output: z.string(),
});
type Form = z.infer<typeof formSchema>;

const FOLDER = fixturePath('forms');
const FORMS = z.array(formSchema).parse(JSON.parse(readFileSync(join(FOLDER, 'forms.json'), 'utf8')));

/** Forms that are refused, and why: docs/exports.md says what to do. */
const REFUSED: Readonly<Record<string, string>> = { functions: 'MODEL_FUNCTIONS' };

function isQuantized({ form }: Form): boolean {
  return /int8|int4|qdq/.test(form);
}

/** float32 sums in another order; float16; what is quantized may add half of its own error. */
function toleranceOf(form: Form): number {
  if (/fp16|bf16/.test(form.form)) return 5e-3;
  return isQuantized(form) ? 1.5 * form.base_error! : 1e-5;
}

describe('every form of export', () => {
  for (const form of FORMS.filter(({ unet }) => unet !== 'controlnet')) {
    const refusal = REFUSED[form.form];
    if (refusal !== undefined) {
      it(`${form.unet}, ${form.form}: is refused with ${refusal}`, async () => {
        await assert.rejects(patchFile(unpack(form), [adapterOf(form)]), { code: refusal });
      });
      continue;
    }

    it(`${form.unet}, ${form.form}: undone byte for byte, twice compiled the same`, async () => {
      const [first, second] = [
        await patchFile(unpack(form), [adapterOf(form)]),
        await patchFile(unpack(form), [adapterOf(form)]),
      ];
      assert.ok(readFileSync(first.path).equals(readFileSync(second.path)));
      const opened = await openModel(first.path);
      const restored = join(freshFolder(), 'base.onnx');
      await stripPatched(opened, restored);
      await opened.close();
      assert.ok(readFileSync(restored).equals(readFileSync(unpack(form))));
    });

    if (!form.runs_on_cpu) continue;

    it(`${form.unet}, ${form.form}: computes what diffusers computes`, async () => {
      const expected = await readReference(join(FOLDER, `${form.unet}.reference.safetensors`));
      const tolerance = toleranceOf(form);
      const inputs = inputsOf(form, expected);
      const base = await load(unpack(form));
      const untouched = await output(base, form, inputs);
      await base.release();

      const { path, patched } = await patchFile(unpack(form), [adapterOf(form)], {
        tokens: 'input',
        scale: 'layers',
      });
      const session = await load(path);
      const { attentions, textInput } = patched.located;
      const at = (scale: (id: number) => number) =>
        output(session, form, {
          ...inputs,
          ip_hidden_states: imageTokens(expected),
          ip_scale: layers(attentions.map(({ id }) => scale(id))),
        });
      assert.equal(largestDifference(await at(() => 0), untouched), 0, 'scale 0 is the base, bit for bit');
      const all = largestDifference(await at(() => 1), expected.get('out_scale_1.0').data);
      assert.ok(all <= tolerance, `scale 1: ${all}`);
      // One at a time tells the order of layers, where errors of quantization do not hide it.
      for (const { id, scope } of isQuantized(form) ? [] : attentions) {
        const difference = largestDifference(
          await at((each) => (each === id ? 1 : 0)),
          expected.get(`only_${id}`).data,
        );
        assert.ok(difference <= tolerance, `${scope} (id ${id}): ${difference}`);
      }
      await session.release();

      const split = await patchFile(unpack(form), [adapterOf(form)], { tokens: 'split', scale: '0.6' });
      const splitSession = await load(split.path);
      const both = { ...inputs, [textInput]: appendTokens(inputs[textInput]!, imageTokens(expected)) };
      const difference = largestDifference(
        await output(splitSession, form, both),
        expected.get('out_scale_0.6').data,
      );
      assert.ok(difference <= tolerance, `split, 0.6: ${difference}`);
      await splitSession.release();
    });
  }
});

describe('a ControlNet beside a patched UNet', () => {
  const form = FORMS.find(({ unet }) => unet === 'controlnet')!;

  it('takes the image tokens and uses the text alone, as diffusers does', async () => {
    const expected = await readReference(join(FOLDER, 'controlnet.reference.safetensors'));
    const tokens = imageTokens(expected);
    const { path } = await patchFile(unpack(form), [], { dropImageTokens: tokens.dims[1]! });
    const session = await load(path);
    const inputs = inputsOf(form, expected);
    const both = { ...inputs, encoder_hidden_states: appendTokens(inputs.encoder_hidden_states!, tokens) };
    const results = await session.run(both);
    assert.ok(results.size > 10);
    for (const [name, { data }] of results) {
      const difference = largestDifference(data, expected.get(name).data);
      assert.ok(difference <= 1e-5, `${name}: ${difference}`);
    }
    await session.release();
  });

  it('is undone byte for byte', async () => {
    const { path } = await patchFile(unpack(form), [], { dropImageTokens: 16 });
    const opened = await openModel(path);
    const restored = join(freshFolder(), 'base.onnx');
    await stripPatched(opened, restored);
    await opened.close();
    assert.ok(readFileSync(restored).equals(readFileSync(unpack(form))));
  });
});

function adapterOf({ unet }: Form): string {
  return join(FOLDER, `${unet}.adapter.safetensors`);
}

const unpacked = new Set<string>();

/** The form's model with its data files beside it, in a folder of its own. */
function unpack({ file }: Form): string {
  const model = file.replace(/\.gz$/, '');
  const folder = join(WORK, 'forms', model);
  if (!unpacked.has(model)) {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(FOLDER)) {
      if (!name.startsWith(model) || !name.endsWith('.gz')) continue;
      writeFileSync(join(folder, name.replace(/\.gz$/, '')), gunzipSync(readFileSync(join(FOLDER, name))));
    }
    unpacked.add(model);
  }
  return join(folder, model);
}

/** The model's inputs under the names that it has for them. */
function inputsOf({ inputs }: Form, expected: Reference): Record<string, Values> {
  return Object.fromEntries(Object.entries(inputs).map(([name, original]) => [name, expected.get(original)]));
}

function imageTokens(expected: Reference): Values {
  const { dims, data } = expected.get('ip_hidden_states');
  return { dims: [dims[0]!, dims.at(-2)!, dims.at(-1)!], data };
}

function layers(values: readonly number[]): Values {
  return { dims: [1, values.length], data: Float32Array.from(values) };
}

async function output(
  session: Session,
  form: Form,
  feeds: Readonly<Record<string, Values>>,
): Promise<Float32Array> {
  return (await session.run(feeds)).get(form.output)!.data;
}
