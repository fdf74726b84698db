import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Project, SyntaxKind } from 'ts-morph';
import { adapterPath, formPath, modelPath } from '../fixtures.js';
import { kindPath } from '../kinds.js';
import { type KindOptions, patchFile } from '../patched.js';
import { identityModel } from '../serve/small-models.js';
import { clientOf, complaints, STRICT } from './client.js';
import { sampleProjection } from './samples.js';

const BASE = adapterPath('sd15', 'base');
const PLUS = adapterPath('sd15', 'plus');

async function patched(
  model: string,
  adapters: readonly string[],
  options: KindOptions = {},
): Promise<string> {
  return (await patchFile(modelPath(model), adapters, options)).path;
}

const MODELS: Readonly<Record<string, () => Promise<string> | string>> = {
  'SD 1.5': () => modelPath('sd15-sdpa-ts17'),
  'SD 1.5 in float16': () => modelPath('sd15-sdpa-ts17-fp16'),
  'SD 1.5 by dynamo, whose outputs have sizes that are computed': () => modelPath('sd15-sdpa-dynamo23'),
  SDXL: () => modelPath('sdxl-sdpa-dynamo18'),
  'int8 weights': () => formPath('compact-int8'),
  'fixed sizes': () => formPath('compact-static'),
  'an image projection': sampleProjection,
  'tokens in the text': () => patched('sd15-sdpa-ts17', [BASE, PLUS]),
  'tokens in an input': () => patched('sd15-sdpa-ts17', [BASE, PLUS], { tokens: 'input' }),
  'projection inside': () => patched('sdxl-sdpa-ts17', [adapterPath('sdxl', 'plus')], { tokens: 'embeds' }),
  'face embeddings': () =>
    patched('sd15-sdpa-ts17', [kindPath('faceid-plus.adapter.safetensors')], { tokens: 'embeds' }),
  'masks, layers, keys and values': () =>
    patched('sd15-sdpa-ts17', [BASE], { masks: true, scale: 'layers', hoist: true, images: [2] }),
  'a scale per row': () => patched('sd15-sdpa-ts17', [BASE], { scale: 'rows' }),
  'a scale that may be left out': () => patched('sd15-sdpa-ts17', [BASE], { scale: 'optional=0.6' }),
};

/** Inputs of a call that compiles, a line each. */
const GOOD: Readonly<Record<string, string>> = {
  sample: '{ shape: [2, 4, 64, 64], data: f32 }',
  timestep: '{ shape: [], data: i64 }',
  encoder_hidden_states: '{ shape: [2, 77, 24], data: f32 }',
  ip_hidden_states: '{ shape: [1, 4, 24], data: f32 }',
  ip_hidden_states_2: '{ shape: [2, 16, 24], data: f32 }',
  ip_scale: '{ shape: [2], data: f32 }',
};

const HEAD = `import { Unet, type UnetInputs, type UnetOutputs } from './unet.js';
declare const unet: Unet;
declare const f32: Float32Array;
declare const f64: Float64Array;
declare const f16: Uint16Array;
declare const i64: BigInt64Array;
declare const i32: Int32Array;
declare const some: number;
declare const oneOrTwo: 1 | 2;
declare const shape: number[];
export type { UnetInputs, UnetOutputs };
`;

/** A call with other inputs in the place of good ones; without those that are \`null\`. */
function call(
  changes: Readonly<Record<string, string | null>>,
  { begin = '', options = '', end = '' } = {},
): string {
  const lines = Object.entries({ ...GOOD, ...changes }).flatMap(([name, value]) =>
    value === null ? [] : [`  ${name}: ${value.replace(/(?= \/\/ error)|$/, ',')}`],
  );
  return [`export const result = await unet.infer({${begin}`, ...lines, `}${options});${end}`, ''].join('\n');
}

const ERROR = ' // error';

const fileOf = (what: string) => what.replaceAll(/\W+/g, '-');

const USES: Readonly<Record<string, string>> = {
  'the good one': call({}),
  'inputs that say their type': call({ ip_scale: `{ type: 'float32', shape: [2], data: f32 }` }),
  'a size that is a number, beside a literal': call({ sample: '{ shape: [some, 4, 64, 64], data: f32 }' }),
  'a literal, and a number behind it': call({
    encoder_hidden_states: '{ shape: [some, 77, 24], data: f32 }',
  }),
  'a size that is one of two': call({
    sample: '{ shape: [oneOrTwo, 4, 64, 64], data: f32 }',
    encoder_hidden_states: '{ shape: [oneOrTwo, 77, 24], data: f32 }',
  }),
  'outputs with the sizes of the inputs': `${call({})}export const found: readonly [2, 4, 64, 64] = result.out_sample.shape;\nexport const data: Float32Array = result.out_sample.data;\n`,
  'types with sizes': `export type Rows = UnetInputs<2, 64, 64, 77>;\nexport const states: Rows['encoder_hidden_states'] = { shape: [2, 77, 24], data: f32 };\n`,
  'a wrong name': call({ time_step: `{ shape: [], data: i64 }${ERROR}` }),
  'a name too few': call({ timestep: null }, { begin: ERROR }),
  'nothing at all': `await unet.infer();${ERROR}\n`,
  'numbers of another type': call({ sample: `{ shape: [2, 4, 64, 64], data: f64 }${ERROR}` }),
  'float16 for float32': call({ sample: `{ shape: [2, 4, 64, 64], data: f16 }${ERROR}` }),
  'int32 for int64': call({ timestep: `{ shape: [], data: i32 }${ERROR}` }),
  'a list of numbers': call({ ip_scale: `{ shape: [2], data: [1, 1] }${ERROR}` }),
  'a type that is another': call({ sample: `{ type: 'float64', shape: [2, 4, 64, 64], data: f32 }${ERROR}` }),
  'a dimension too few': call({ sample: `{ shape: [4, 64, 64], data: f32 }${ERROR}` }),
  'a dimension too many': call({ timestep: `{ shape: [1], data: i64 }${ERROR}` }),
  'another fixed size': call({ sample: `{ shape: [2, 3, 64, 64], data: f32 }${ERROR}` }),
  'another width of the text': call({ encoder_hidden_states: `{ shape: [2, 77, 768], data: f32 }${ERROR}` }),
  'two batches': call({ encoder_hidden_states: `{ shape: [3, 77, 24], data: f32 }${ERROR}` }),
  'a batch of images that is neither 1 nor the text’s': call({
    ip_hidden_states_2: `{ shape: [3, 16, 24], data: f32 }${ERROR}`,
  }),
  'a shape of any length': call({ sample: `{ shape, data: f32 }${ERROR}` }),
  'no shape': call({ ip_scale: `{ data: f32 }${ERROR}` }),
  'no data': call({ ip_scale: `{ shape: [2] }${ERROR}` }),
  'a tensor that is none': call({ ip_scale: `f32${ERROR}` }),
  'one more field': call({ ip_scale: `{ shape: [2], data: f32, dims: [2] }${ERROR}` }),
  'an output that is not there': call({}, { options: `, { outputs: ['out'] }`, end: ERROR }),
  'an output that was not asked for': `${call({}, { options: `, { outputs: [] }` })}export const none = result.out_sample;${ERROR}\n`,
  'outputs of another shape': `${call({})}export const found: readonly [2, 4, 32, 32] = result.out_sample.shape;${ERROR}\n`,
  'outputs of another type': `${call({})}export const data: Uint16Array = result.out_sample.data;${ERROR}\n`,
  'the result of a promise': `${call({}).replace('await ', '')}export const data = result.out_sample;${ERROR}\n`,
  'no address': `Unet.overHttp({ model: 'unet' });${ERROR}\n`,
  'no session': `Unet.overSession();${ERROR}\n`,
  'its own construction': `new Unet(async () => new Map());${ERROR}\n`,
};

/** Names that are no identifiers, or want to be more than names. */
const HOSTILE = [
  'a b',
  '0',
  "it's",
  'back\\slash',
  '*/ throw 1; /*',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as a hostile file has it.
  '`${process.exit(1)}`',
  "'];throw 1;//",
  'line\nbreak',
  '\u2028',
  '\u202Eesrever',
  '__proto__',
  'constructor',
  'toString',
  '@deprecated',
  '名前',
  '',
];

describe('typed clients compile, and misuse of them does not', () => {
  /** By file, without its ending. One program for all: most of the time goes into types that they share. */
  const found = new Map<string, string[]>();
  const uses = Object.entries(USES);
  let hostile = '';
  before(async () => {
    const unet = await patched('sd15-sdpa-ts17', [BASE, PLUS], { tokens: 'input' });
    hostile = identityModel(
      ...HOSTILE.map((name, i) => [name, 'float', [`${name} size`, '*/ @ts-ignore', i]] as const),
    );
    const given = HOSTILE.map(
      (name, i) => `  [${JSON.stringify(name)}]: { shape: [some, some, ${i}], data: f32 },`,
    );
    const files: Record<string, string> = {
      unet: await clientOf(unet),
      http: await clientOf(unet, { only: 'http' }),
      session: await clientOf(unet, { only: 'session' }),
      bf16: await clientOf(identityModel(['x', 'bfloat16', ['n']]), { only: 'http' }),
      hostile: await clientOf(hostile),
      'hostile-use': `${HEAD.replace('unet.js', 'hostile.js')}export const result = await unet.infer({\n${given.join('\n')}\n});\nexport const data: Float32Array = result[${JSON.stringify(`${HOSTILE[4]}_out`)}].data;\n`,
    };
    for (const [what, model] of Object.entries(MODELS)) files[fileOf(what)] = await clientOf(await model());
    uses.forEach(([what, use]) => {
      files[fileOf(what)] = HEAD + use;
    });
    const texts = Object.fromEntries(Object.entries(files).map(([name, text]) => [`${name}.ts`, text]));
    for (const each of complaints(texts)) {
      const file = each.slice(0, each.indexOf('.ts:'));
      found.set(file, [...(found.get(file) ?? []), each]);
    }
  });

  for (const what of [...Object.keys(MODELS), 'unet', 'http', 'session', 'bf16'])
    it(`compiles: ${what}`, () => {
      assert.deepEqual(found.get(fileOf(what)) ?? [], []);
    });

  for (const [what, use] of uses)
    it(`${use.includes(ERROR) ? 'misuse is an error on its line, and nothing else is' : 'use'}: ${what}`, () => {
      const lines = (HEAD + use).split('\n');
      const expected = lines.flatMap((line, at) => (line.includes(ERROR) ? [at + 1] : []));
      const got = found.get(fileOf(what)) ?? [];
      const where = new Set(got.map((each) => Number(/:(\d+): /.exec(each)![1])));
      assert.deepEqual([...where], expected, got.join('\n'));
    });

  it('the compiler of this checkout says the same, browsers’ types or Node.js’s', async () => {
    const folder = join('dist', 'test', 'typed-clients', 'compiled');
    mkdirSync(folder, { recursive: true });
    try {
      const unet = await patched('sd15-sdpa-ts17', [BASE, PLUS], { tokens: 'input' });
      writeFileSync(join(folder, 'unet.ts'), await clientOf(unet));
      writeFileSync(
        join(folder, 'image-proj.ts'),
        await clientOf(await sampleProjection(), { name: 'ImageProj' }),
      );
      writeFileSync(join(folder, 'good.ts'), HEAD + call({}));
      const config = (more: object) => ({
        compilerOptions: { ...STRICT, target: 'es2022', skipLibCheck: true, ...more },
        include: ['*.ts'],
      });
      const node = { module: 'nodenext', lib: ['es2022'], types: ['node'] };
      const browser = { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'], types: [] };
      const compiled = (more: object) => {
        writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config(more)));
        const args = [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', folder, '--pretty', 'false'];
        return spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout;
      };
      assert.equal(compiled(node), '');
      assert.equal(compiled(browser), '');
      writeFileSync(join(folder, 'good.ts'), HEAD + call({ encoder_hidden_states: GOOD.ip_hidden_states! }));
      assert.match(
        compiled(node),
        /^\S+good\.ts\(\d+,\d+\): error TS2322: Type '1' is not assignable to type '2'\.\n$/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('names that want to be more than names stay names, and comments comments', async () => {
    assert.deepEqual([found.get('hostile'), found.get('hostile-use')], [undefined, undefined]);
    const text = await clientOf(hostile);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: whatever is not ASCII is written as its code.
    assert.match(text.replace(/[’…]/g, ''), /^[\x0a\x20-\x7e]*$/);
    // What they want to be is nowhere in the tree of the program: neither a statement more nor a tag.
    const [made, plain] = [text, await clientOf(identityModel(['x', 'float', ['n']]))].map((each) =>
      new Project({ useInMemoryFileSystem: true }).createSourceFile('client.ts', each),
    );
    assert.deepEqual(
      made!.getStatements().map((statement) => statement.getKindName()),
      plain!.getStatements().map((statement) => statement.getKindName()),
    );
    const tags = made!.getDescendantsOfKind(SyntaxKind.JSDoc).flatMap((doc) => doc.getTags());
    assert.deepEqual([...new Set(tags.map((tag) => tag.getTagName()))].sort(), [
      'param',
      'throws',
      'typeParam',
    ]);
  });

  it('the same model gives the same bytes', async () => {
    const path = await patched('sd15-sdpa-ts17', [BASE]);
    const text = await clientOf(path);
    assert.equal(await clientOf(path), text);
    assert.notEqual(await clientOf(path, { name: 'Zebra' }), text);
    assert.equal((await clientOf(path, { name: 'Zebra' })).replaceAll('Zebra', 'Unet'), text);
  });
});
