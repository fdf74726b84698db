import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { openModel } from '../runtime/open.js';
import { stripPatched } from '../runtime/strip-patched.js';
import { contentOf } from './command.js';
import { fixturePath, freshFolder, unpackForm } from './fixtures.js';
import { appendTokens, largestDifference, type Reference, readReference, type Values } from './numbers.js';
import { holdsProof, patchFile } from './patched.js';
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

/** A form and the folder where its files are. */
interface Made extends Form {
  readonly folder: string;
}

/** The folder of the repository's forms. */
export const COMMITTED = fixturePath('forms');

/** Forms that are refused, and why: docs/exports.md says what to do. */
const REFUSED: Readonly<Record<string, string>> = { functions: 'MODEL_FUNCTIONS' };

/** What `forms.json` of a folder lists. */
export function formsIn(folder: string): Form[] {
  return z.array(formSchema).parse(JSON.parse(readFileSync(join(folder, 'forms.json'), 'utf8')));
}

function isQuantized({ form }: Form): boolean {
  return /int8|int4|qdq/.test(form);
}

/** float32 sums in another order; float16; what is quantized may add half of its own error. */
function toleranceOf(form: Form): number {
  if (/fp16|bf16/.test(form.form)) return 5e-3;
  return isQuantized(form) ? 1.5 * form.base_error! : 1e-5;
}

/**
 * The checks of every form. Mocha wants tests before anything runs, so the repository's forms name them; each then looks its form up in
 * `folder`, which may be filled by then only. `leftOut`, files that could not be made there, is read as late.
 */
export function describeForms(folder: string, leftOut: ReadonlySet<string> = new Set()): void {
  const check = ({ file }: Form, title: string, body: (form: Made) => Promise<void>): void => {
    it(title, async function () {
      if (leftOut.has(file)) this.skip();
      const form = formsIn(folder).find((each) => each.file === file);
      assert.ok(form, `${file} was not made`);
      if (folder !== COMMITTED && isCommitted({ ...form, folder })) return;
      await body({ ...form, folder });
    });
  };

  const committed = formsIn(COMMITTED);
  describe('every form of export', () => {
    for (const form of committed.filter(({ unet }) => unet !== 'controlnet')) {
      const name = `${form.unet}, ${form.form}`;
      const refusal = REFUSED[form.form];
      if (refusal !== undefined) {
        check(form, `${name}: is refused with ${refusal}`, (made) =>
          assert.rejects(patchFile(unpack(made), [adapterOf(made)]), { code: refusal }),
        );
        continue;
      }
      check(form, `${name}: undone byte for byte, proved by diff, twice compiled the same`, holdLaws);
      if (form.runs_on_cpu) check(form, `${name}: computes what diffusers computes`, holdNumbers);
    }
  });

  describe('a ControlNet beside a patched UNet', () => {
    const form = committed.find(({ unet }) => unet === 'controlnet')!;
    check(form, 'takes the image tokens and uses the text alone, as diffusers does', holdControlNetNumbers);
    check(form, 'is undone byte for byte', async (made) => {
      const { path } = await patchFile(unpack(made), [], { dropImageTokens: 16 });
      await holdUndone(path, unpack(made));
    });
  });
}

/** Whether a form made anew is the repository's byte for byte, which has its own tests: a model, its data and its adapter (a ControlNet has none). */
function isCommitted(form: Made): boolean {
  const contents = (made: Made) => {
    const adapter = adapterOf(made);
    return [contentOf(dirname(unpack(made))), existsSync(adapter) ? readFileSync(adapter) : null];
  };
  return isDeepStrictEqual(contents(form), contents({ ...form, folder: COMMITTED }));
}

async function holdLaws(form: Made): Promise<void> {
  const [first, second] = [
    await patchFile(unpack(form), [adapterOf(form)]),
    await patchFile(unpack(form), [adapterOf(form)]),
  ];
  assert.ok(readFileSync(first.path).equals(readFileSync(second.path)));
  await holdUndone(first.path, unpack(form));
}

async function holdUndone(patched: string, base: string): Promise<void> {
  const opened = await openModel(patched);
  const restored = join(freshFolder(), 'base.onnx');
  await stripPatched(opened, restored);
  await opened.close();
  assert.ok(readFileSync(restored).equals(readFileSync(base)));
  await holdsProof(base, patched);
}

async function holdNumbers(form: Made): Promise<void> {
  const expected = await referenceOf(form);
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
}

async function holdControlNetNumbers(form: Made): Promise<void> {
  const expected = await referenceOf(form);
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
}

function referenceOf({ folder, unet }: Made): Promise<Reference> {
  return readReference(join(folder, `${unet}.reference.safetensors`));
}

function adapterOf({ folder, unet }: Made): string {
  return join(folder, `${unet}.adapter.safetensors`);
}

const unpacked = new Map<string, string>();

/** The form's model with its data files beside it, in a folder of its own. */
function unpack({ folder, file }: Made): string {
  const packed = join(folder, file);
  let path = unpacked.get(packed);
  if (path === undefined) {
    path = unpackForm(folder, file.replace(/\.gz$/, ''));
    unpacked.set(packed, path);
  }
  return path;
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
