import { holdsBatched } from '../batch-checks.js';
import { fixturePath, unpackForm } from '../fixtures.js';
import { COMMITTED, formsIn } from '../form-checks.js';
import { patchFile } from '../patched.js';

/** Exported with one batch for ever, refused before, or for another engine. */
const LEFT_OUT = ['static', 'functions'];
/** Dynamic quantization has one range for all rows, so that a row's numbers depend on the others'. */
const TOLERANCE: Readonly<Record<string, number>> = { int8: 0.01 };

describe('a batch for every form of export', () => {
  for (const { form, unet, file, runs_on_cpu } of formsIn(COMMITTED)) {
    if (LEFT_OUT.includes(form) || unet === 'motion' || unet === 'controlnet' || !runs_on_cpu) continue;
    it(`${unet}, ${form}`, async () => {
      const base = unpackForm(COMMITTED, file.replace(/\.gz$/, ''));
      const adapter = fixturePath('forms', `${unet}.adapter.safetensors`);
      const { path } = await patchFile(base, [adapter], { tokens: 'input', scale: 'layers' });
      await holdsBatched(base, path, TOLERANCE[form]);
    });
  }
});
