import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ipgraft, placeModel } from './command.js';
import { fixturePath, formPath } from './fixtures.js';

/** A model of fixtures/models or fixtures/forms, and what to compile into it. */
const sideSchema = z.strictObject({
  model: z.string().optional(),
  form: z.string().optional(),
  adapter: z.string().optional(),
  options: z.array(z.string()).default([]),
});
const caseSchema = z.strictObject({ description: z.string(), a: sideSchema, b: sideSchema });

const SAMPLES = fixturePath('diffs');

/** `UPDATE_SAMPLES=1` writes what comes out instead of comparing; read the difference before you commit it. */
const UPDATE = process.env.UPDATE_SAMPLES === '1';

/** Where a model lies: patched ones beside their base. */
async function place(
  { model, form, adapter, options }: z.infer<typeof sideSchema>,
  folders: Map<string, string>,
): Promise<string> {
  if (form !== undefined) return formPath(form);
  const base = folders.get(model!) ?? placeModel(model!).base;
  folders.set(model!, base);
  if (adapter === undefined) return base;
  const path = join(dirname(base), `${adapter}.onnx`);
  const file = fixturePath('adapters', `${adapter}.safetensors`);
  const { code, stderr } = await ipgraft('compile', base, '-a', file, '-o', path, ...options);
  assert.equal(code, 0, stderr);
  return path;
}

describe('samples of ipgraft diff', () => {
  for (const name of readdirSync(SAMPLES)) {
    const folder = join(SAMPLES, name);
    const { description, a, b } = caseSchema.parse(
      JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')),
    );

    it(`${name}: ${description}`, async () => {
      const folders = new Map<string, string>();
      const { code, stdout } = await ipgraft('diff', await place(a, folders), await place(b, folders));
      assert.equal(code, 0);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colors, where they are on.
      const found = stdout.replace(/\x1b\[\d+m/g, '');
      const expected = join(folder, 'expected.txt');
      if (UPDATE) writeFileSync(expected, found);
      assert.ok(existsSync(expected), `${name} has no expected.txt`);
      assert.equal(found, readFileSync(expected, 'utf8'));
    });
  }
});
