import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { REPORTS, reportSchema } from '../docs/reports.js';
import { resolved, type Schema } from '../docs/type-schema.js';
import { ipgraft, placeModel } from './command.js';
import { adapterPath, fixturePath, formPath, modelPath } from './fixtures.js';
import { kindPath } from './kinds.js';
import { unpackPipeline } from './pipeline/unpacked.js';
import { until } from './serve/processes.js';
import { VERBS } from './verbs.js';

// Keys of a record are required without being properties of their own.
const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true });
const schemas = new Map(REPORTS.map((report) => [report.name, reportSchema(report)]));
const validators = new Map([...schemas].map(([name, schema]) => [name, ajv.compile(schema)]));

const BASE = adapterPath('sd15', 'base');
const PLUS = adapterPath('sd15', 'plus');
const COMPACT = fixturePath('forms', 'compact.adapter.safetensors');

/**
 * A command, the report that it prints, and what MODEL is compiled with before, where the command wants a PATCHED one. MODEL is an export, OUT a
 * file to write, REPOSITORY a folder of models, PIPELINE the folder of a whole one, FOLDER one to write.
 */
type Run = readonly [report: string, args: readonly string[], compiledWith?: readonly string[]];

const compiling = (...args: string[]): Run => ['compile', ['compile', 'MODEL', ...args, '-o', 'OUT']];
const inspecting = (file: string): Run => ['inspect', ['inspect', file]];
const validating = (...args: string[]): Run => [
  'validate',
  ['validate', 'MODEL', 'PATCHED', '--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'],
  args,
];
const failing = (...args: string[]): Run => ['error', args];

const SMALL = ['--width', '32', '--height', '32'];

const RUNS: readonly Run[] = [
  compiling('-a', BASE),
  compiling('-a', PLUS, '--tokens', 'embeds', '--weights', 'copy'),
  compiling('-a', BASE, '--hoist', '--scale', 'layers'),
  compiling('-a', BASE, '--masks', '--tokens', 'input', '--images', '2'),
  compiling('-a', BASE, '--pattern', 'up_blocks.**.attn2', '--scale', 'optional=0.6'),
  compiling('--init-from-text', '--num-tokens', '4'),
  compiling('--drop-image-tokens', '4'),
  ['compile', ['compile', 'MODEL', '-a', BASE, PLUS, '--dry-run']],
  ['compile', ['compile', 'MODEL', '-a', kindPath('faceid.adapter.bin'), '-o', 'OUT']],
  ['compile', ['compile', formPath('compact-scopeless'), '-a', COMPACT, '-o', 'OUT']],
  ['adapt', ['adapt', 'PIPELINE', '-a', fixturePath('pipeline', 'adapter.safetensors'), '-o', 'FOLDER']],
  inspecting('MODEL'),
  inspecting(modelPath('sdxl-sdpa-dynamo18')),
  inspecting(formPath('compact-scopeless')),
  inspecting(BASE),
  inspecting(adapterPath('sd15', 'full-face', 'bin')),
  inspecting(kindPath('faceid-plus.adapter.safetensors')),
  ['inspect', ['inspect', 'PATCHED'], ['-a', BASE]],
  ['project', ['project', PLUS, '-o', 'OUT']],
  ['strip', ['strip', 'PATCHED', '-o', 'OUT'], ['-a', BASE]],
  ['swap', ['swap', 'PATCHED', '-a', BASE, '-o', 'OUT'], ['-a', BASE]],
  ['diff', ['diff', 'MODEL', 'PATCHED'], ['-a', BASE]],
  ['diff', ['diff', 'MODEL', 'PATCHED', '-a', BASE], ['-a', BASE, '--weights', 'copy']],
  ['diff', ['diff', 'MODEL', modelPath('sd15-classic-ts14')]],
  validating('-a', BASE),
  validating('-a', BASE, '--tokens', 'embeds', '--scale', '0.6'),
  validating('--drop-image-tokens', '4'),
  // Rounded away, which validate calls a failure.
  validating('-a', BASE, '--tokens', 'input', '--scale', '1e-30'),
  ['types', ['types', 'MODEL', '-o', 'OUT', '--name', 'Unet']],
  [
    'types',
    ['types', 'PATCHED', '-o', 'OUT', '--name', 'Unet', '--only', 'http'],
    ['-a', BASE, '--scale', 'optional=1'],
  ],
  ['generate', ['generate', 'PIPELINE', '--prompt', 'a b', '--steps', '2', ...SMALL, '-o', 'PICTURE']],
  ['serve', ['serve', 'REPOSITORY', '--port', '0', '--drain', '0']],
  [
    'package-kserve',
    ['package', 'kserve', 'REPOSITORY', '--name', 'unet', '--storage-uri', 's3://models/sd15', '-o', 'OUT'],
  ],
  ['package-triton', ['package', 'triton', 'MODEL', '-o', 'FOLDER', '--batched']],
  failing('compile', 'MODEL', '-a', BASE),
  failing('compile', 'MODEL', '-a', BASE, '-o', 'MODEL', '--force'),
  failing('compile', 'MODEL', '-a', BASE, '--pattern', '**.attn3', '-o', 'OUT'),
  failing('compile', 'MODEL', '-a', BASE, '--scale', '{"up":{"block_0":1}}', '-o', 'OUT'),
  failing('compile', 'MODEL', '-a', adapterPath('sdxl', 'base'), '-o', 'OUT'),
  failing('compile', 'MODEL', '-a', adapterPath('sd21', 'base'), '-o', 'OUT'),
  failing('inspect', 'README.md'),
  failing('inspect', 'nothing.onnx'),
  failing('project', BASE),
  failing('strip', 'MODEL', '-o', 'OUT'),
  failing('swap', 'MODEL', '-a', BASE, '-o', 'OUT'),
  failing('validate', 'MODEL', 'MODEL', '--seed', 'x'),
  failing('serve', 'fixtures'),
  failing('types', 'MODEL', '-o', 'OUT', '--name', 'class'),
  failing('package', 'triton', 'MODEL', '-o', 'FOLDER', '--target', '20.01'),
  failing('package', 'kserve', '--name', 'unet', '--storage-uri', 's3://models/sd15', '-o', 'OUT'),
  failing('adapt', 'docs', '-a', BASE, '-o', 'FOLDER'),
  failing('generate', 'docs', '--prompt', 'a', '-o', 'PICTURE'),
];

/** What a command prints with `--json`. */
async function printed([report, args, compiledWith]: Run): Promise<unknown> {
  const { folder, base } = placeModel('sd15-sdpa-ts17');
  const files: Readonly<Record<string, string>> = {
    MODEL: base,
    OUT: join(folder, 'out.onnx'),
    PATCHED: join(folder, 'patched.onnx'),
    REPOSITORY: join(folder, 'models'),
    FOLDER: join(folder, 'adapted'),
    PICTURE: join(folder, 'out.png'),
    PIPELINE: args.includes('PIPELINE') ? join(unpackPipeline(), 'onnx') : '',
  };
  if (args.includes('REPOSITORY')) {
    mkdirSync(join(folder, 'models', 'unet', '1'), { recursive: true });
    copyFileSync(base, join(folder, 'models', 'unet', '1', 'model.onnx'));
  }
  if (compiledWith !== undefined) {
    const { code, stderr } = await ipgraft('compile', base, ...compiledWith, '-o', files.PATCHED!);
    assert.deepEqual([code, stderr], [0, '']);
  }
  const listeners = process.listenerCount('SIGINT');
  const running = ipgraft(...args.map((arg) => files[arg] ?? arg), '--json');
  if (report === 'serve') {
    // It serves until it is told to end, and listens to that, beside what every verb listens to, when it has printed where.
    await until(() => process.listenerCount('SIGINT') > listeners + 1, 60_000);
    process.emit('SIGTERM');
  }
  const { code, stdout } = await running;
  // 1 is for checks that do not hold, more for errors.
  assert.equal(code! > 1, report === 'error', stdout);
  return JSON.parse(stdout);
}

/** What a schema has against a value. */
function faults(report: string, value: unknown): string[] {
  const validate = validators.get(report)!;
  validate(value);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** A copy of a value with one more field, for each object in it that a schema calls closed. */
function* withMore(value: unknown, schema: Schema, root: Schema): Iterable<unknown> {
  const { properties, items, oneOf } = resolved(schema, root);
  if (Array.isArray(value)) {
    // The elements of a list are alike.
    if (items !== undefined)
      for (const first of withMore(value[0], items, root)) yield [first, ...value.slice(1)];
  } else if (typeof value === 'object' && value !== null) {
    if (properties !== undefined) yield { ...value, undocumented: 1 };
    for (const each of oneOf ?? []) yield* withMore(value, each, root);
    for (const [name, field] of Object.entries(properties ?? {}))
      for (const more of withMore((value as Record<string, unknown>)[name], field, root))
        yield { ...value, [name]: more };
  }
}

describe('what is printed with --json', () => {
  for (const run of RUNS) {
    const [report, args, compiledWith = []] = run;
    const words = [...args, ...(compiledWith.length > 0 ? ['of', ...compiledWith] : [])];
    it(`is what the schema of ${report} says: ${words.map((word) => basename(word)).join(' ')}`, async () => {
      const value = await printed(run);
      assert.deepEqual(faults(report, value), []);
      let count = 0;
      const schema = schemas.get(report)!;
      for (const more of withMore(value, schema, schema)) {
        assert.notDeepEqual(faults(report, more), [], JSON.stringify(more).slice(0, 200));
        count++;
      }
      assert.ok(count > 0);
    });
  }

  it('every verb is run here and has a schema, and so has an error', () => {
    const reports = VERBS.map(({ name }) => name.replace(' ', '-'));
    assert.deepEqual(
      [...new Set(RUNS.map(([report]) => report))].toSorted(),
      [...reports, 'error'].toSorted(),
    );
    for (const report of reports) assert.ok(schemas.has(report), report);
    for (const { command } of VERBS) assert.ok(command.options.some(({ long }) => long === '--json'));
  });
});
