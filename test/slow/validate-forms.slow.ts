import assert from 'node:assert/strict';
import { openAdapter, openModel } from '../../runtime/open.js';
import { validate } from '../../runtime/validate/validate.js';
import { adapterPath, EXPORTS, familyOf, fixturePath, formPath, modelPath, VARIANTS } from '../fixtures.js';
import { COMMITTED, formsIn } from '../form-checks.js';
import { type KindOptions, patchFile } from '../patched.js';

/** Compiles, and lets the second engine recompute every cross-attention. */
async function holds(model: string, checkpoint: string, options: KindOptions): Promise<void> {
  const { path, patched: made } = await patchFile(model, [checkpoint], options);
  const [base, patched, adapter] = [
    await openModel(model),
    await openModel(path),
    await openAdapter(checkpoint),
  ];
  try {
    const files = [
      { ...base, path: base.path! },
      { ...patched, path: patched.path! },
    ] as const;
    const { passed, sites, checks } = await validate(...files, { adapters: [adapter] });
    assert.ok(passed, JSON.stringify(checks.filter((check) => check.passed === false)));
    assert.equal(sites.length, made.located.attentions.length);
    const worst = Math.max(...sites.map(({ relative }) => relative));
    const unknown = checks
      .filter((check) => check.passed === null)
      .map(({ name, detail }) => `${name}: ${detail}`);
    console.log(`    sites within ${worst.toPrecision(2)}${unknown.map((line) => `; ${line}`).join('')}`);
  } finally {
    await Promise.all([base, patched, adapter].map((file) => file.close()));
  }
}

describe('ipgraft validate, on latents of 32 × 32 and 77 tokens', () => {
  for (const model of [...EXPORTS, ...VARIANTS])
    it(model, () => holds(modelPath(model), adapterPath(familyOf(model), 'base'), {}));

  // What packed keys and values look like no CPU runs; functions are refused; a ControlNet has no image attention.
  const forms = formsIn(COMMITTED).filter(
    ({ runs_on_cpu, form, unet }) => runs_on_cpu && form !== 'functions' && unet !== 'controlnet',
  );
  for (const { file, unet, form } of forms)
    it(`${unet}, ${form}`, () =>
      holds(formPath(file.replace('.onnx.gz', '')), fixturePath('forms', `${unet}.adapter.safetensors`), {
        tokens: 'input',
        scale: 'layers',
      }));
});
