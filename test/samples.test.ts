import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { describe as describeEdit } from '../compiler/edit/edit.js';
import { IpgraftError } from '../compiler/errors.js';
import { compile } from '../runtime/compile.js';
import { openAdapter, openModel } from '../runtime/open.js';
import { fixturePath, formPath, modelPath } from './fixtures.js';

/** What a sample folder's `case.json` says. The edits that come of it are in `edits.txt`, or its error code is here. */
const caseSchema = z.strictObject({
  description: z.string(),
  /** Of fixtures/models, with adapters of fixtures/adapters; or, of a form of fixtures/forms, with adapters from there. */
  model: z.string(),
  from: z.enum(['models', 'forms']).default('models'),
  adapters: z.array(z.string()),
  options: z.strictObject({
    tokens: z.enum(['split', 'input', 'embeds']).default('split'),
    scale: z.string().default('input'),
    patterns: z.array(z.string()).default([]),
    textInput: z.string().default('encoder_hidden_states'),
    initFromText: z.strictObject({ tokens: z.int() }).optional(),
  }),
  error: z.string().optional(),
});

const SAMPLES = fixturePath('samples');

/** `UPDATE_SAMPLES=1` writes what comes out instead of comparing; read the difference before you commit it. */
const UPDATE = process.env.UPDATE_SAMPLES === '1';

describe('samples', () => {
  for (const name of readdirSync(SAMPLES)) {
    const folder = join(SAMPLES, name);
    const sample = caseSchema.parse(JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')));

    it(`${name}: ${sample.description}`, async () => {
      const compiled = edits(sample);
      if (sample.error !== undefined) {
        await assert.rejects(
          compiled,
          (error) => error instanceof IpgraftError && error.code === sample.error,
        );
        return;
      }
      const expected = join(folder, 'edits.txt');
      const found = await compiled;
      if (UPDATE) writeFileSync(expected, found);
      assert.ok(existsSync(expected), `${name} has no edits.txt`);
      assert.equal(found, readFileSync(expected, 'utf8'));
    });
  }
});

/** Every edit in a line, under the pass that made it; the stamp's without its text. */
async function edits({ model, from, adapters, options }: z.infer<typeof caseSchema>): Promise<string> {
  const opened = await openModel(from === 'models' ? modelPath(model) : formPath(model));
  const openedAdapters = await Promise.all(
    adapters.map((file) => openAdapter(fixturePath(from === 'models' ? 'adapters' : 'forms', file))),
  );
  try {
    const { initFromText, ...rest } = options;
    const { passes } = await compile(opened, {
      ...rest,
      adapters: openedAdapters,
      ...(initFromText && { initFromText }),
    });
    return passes
      .map(({ pass, edits }) => `# ${pass}\n${edits.map((edit) => `${describeEdit(edit)}\n`).join('')}`)
      .join('\n');
  } finally {
    await Promise.all([opened, ...openedAdapters].map((file) => file.close()));
  }
}
