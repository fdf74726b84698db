import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { editsBetween } from '../compiler/edit/edits-between.js';
import { journalOf } from '../compiler/edit/journal.js';
import { IpgraftError } from '../compiler/errors.js';
import { fingerprint } from '../compiler/fingerprint.js';
import { bufferSource } from '../compiler/io/byte-source.js';
import { writeFiles } from '../compiler/io/write-files.js';
import type { Graph } from '../compiler/onnx/graph.js';
import { Initializer } from '../compiler/onnx/initializer.js';
import { onnx } from '../compiler/onnx/proto.js';
import { type Model, readModel } from '../compiler/onnx/read-model.js';
import { NODE } from '../compiler/onnx/schema.js';
import { writeModel } from '../compiler/onnx/write-model.js';
import type { Pass } from '../compiler/pass.js';
import { runPasses } from '../compiler/run-passes.js';
import { fields } from '../compiler/wire/fields.js';
import { Rope, type Segment } from '../compiler/wire/rope.js';
import { graftOf } from '../passes/graft.js';
import { dropPasses, graftPasses, locate } from '../passes/index.js';
import { loraSites, mergeLora } from '../passes/merge-lora.js';
import { type GraftOptions, planGraft } from '../passes/plan.js';
import { SEAL_KEY } from '../passes/stamp-metadata.js';
import { compile } from '../runtime/compile.js';
import { openAdapter, openModel } from '../runtime/open.js';
import { stripPatched } from '../runtime/strip-patched.js';
import { writePatched } from '../runtime/write-patched.js';
import { adapterPath, EXPORTS, familyOf, freshFolder, modelPath, VARIANTS } from './fixtures.js';
import { kindPath } from './kinds.js';
import { holdsProof, patchFile } from './patched.js';
import { load } from './session.js';

const MODELS = [...EXPORTS, ...VARIANTS];

const OPTIONS: readonly GraftOptions[] = [
  { tokens: 'split', scale: 'input' },
  { tokens: 'input', scale: 'layers' },
  { tokens: 'embeds', scale: 'optional=0.6' },
  { tokens: 'split', scale: '{"mid": 1.0, "up": {"block_1": 0.7}}' },
];

/** Compilations with what OPTIONS has not: each brings a pass of its own. */
interface Kind {
  readonly title: string;
  readonly model: () => string;
  readonly adapters: () => readonly string[];
  readonly options: GraftOptions;
}

const SD15 = () => modelPath('sd15-sdpa-dynamo18');
const BOTH = () => [adapterPath('sd15', 'base'), adapterPath('sd15', 'plus')];
const KINDS: readonly Kind[] = [
  { title: 'two adapters, rows', model: SD15, adapters: BOTH, options: { scale: 'rows' } },
  {
    title: 'two images of one adapter, masks',
    model: SD15,
    adapters: BOTH,
    options: { images: [2, 1], masks: true, tokens: 'embeds' },
  },
  { title: 'hoisted', model: SD15, adapters: BOTH, options: { hoist: true } },
  {
    title: 'a precise weight type',
    model: SD15,
    adapters: BOTH,
    options: { weightType: { name: 'composition-precise' } },
  },
  {
    title: 'scaled keys and mean of values',
    model: SD15,
    adapters: BOTH,
    options: { embedsScaling: 'k+mean-v-penalty', tokens: 'input' },
  },
  {
    title: 'FaceID with its LoRA',
    model: SD15,
    adapters: () => [kindPath('faceid.adapter.bin')],
    options: { tokens: 'embeds' },
  },
  {
    title: 'FaceID-Plus',
    model: () => modelPath('sd15-sdpa-ts17-external'),
    adapters: () => [kindPath('faceid-plus.adapter.safetensors')],
    options: { tokens: 'embeds' },
  },
  {
    title: 'Kolors’ FaceID',
    model: () => kindPath('kolors-dynamo18.onnx'),
    adapters: () => [kindPath('kolors-faceid.adapter.bin')],
    options: {},
  },
];

/** Twice the same; undone, the base; and between the two what the edits say, and nothing else. */
function holds({ title, model, adapters, options }: Kind): void {
  it(`${title}: undone byte for byte, twice compiled the same, untouched records untouched, the difference is the edits`, async () => {
    const [first, second] = [
      await patchFile(model(), adapters(), options),
      await patchFile(model(), adapters(), options),
    ];
    assert.ok(readFileSync(first.path).equals(readFileSync(second.path)), 'two compilations differ');

    const opened = await openModel(first.path);
    const restored = join(freshFolder(), 'base.onnx');
    await stripPatched(opened, restored);
    await opened.close();
    const base = readFileSync(model());
    assert.ok(readFileSync(restored).equals(base), 'strip does not give the base back');

    // Read whole: these are small files, and no range of one is a range of the other.
    const before = await readModel(bufferSource(base));
    const after = await readModel(bufferSource(readFileSync(first.path)));
    const declared = first.patched.passes.flatMap(({ edits }) => journalOf(edits));
    const { entries, unexplained } = editsBetween(await loaded(before), await loaded(after));
    assert.deepEqual(unexplained, []);
    const others = entries.filter((entry) => !('key' in entry) || entry.key !== SEAL_KEY);
    assert.equal(others.length, entries.length - 1, 'sought one seal');
    assert.deepEqual(sorted(others), sorted(declared));
    await holdsProof(model(), first.path);
    assert.equal(after.graph.irVersion, before.graph.irVersion);
    assert.deepEqual(after.graph.opsetImports, before.graph.opsetImports);
  });
}

describe('laws, on every kind of graft', () => {
  for (const kind of KINDS) holds(kind);
});

describe('laws, on every fixture', () => {
  for (const name of MODELS) {
    const adapter = adapterPath(familyOf(name), 'base');

    it(`${name}: no edits, the same bytes`, async () => {
      const opened = await openModel(modelPath(name));
      const path = join(freshFolder(), 'same.onnx');
      await writeFiles([{ path, content: writeModel(opened, opened.graph) }]);
      await opened.close();
      assert.ok(readFileSync(path).equals(readFileSync(modelPath(name))));
    });

    for (const options of optionsFor(name)) {
      const title = `${name}, --tokens ${options.tokens} --scale ${options.scale}`;

      holds({ title, model: () => modelPath(name), adapters: () => [adapter], options });
    }

    it(`${name}: a second compilation onto the result is refused`, async () => {
      const { path } = await patchFile(modelPath(name), [adapter]);
      await assert.rejects(patchFile(path, [adapter]), withCode('MODEL_ALREADY_PATCHED'));
    });
  }

  it('a base whose tensors say that their data is here, as quantizers write them', async () => {
    const model = onnx.ModelProto.decode(readFileSync(modelPath('sd15-sdpa-ts17')));
    for (const tensor of model.graph!.initializer!) tensor.dataLocation = 0;
    const base = join(freshFolder(), 'base.onnx');
    writeFileSync(base, onnx.ModelProto.encode(model).finish());
    const patched = join(base, '..', 'patched.onnx');
    const [opened, adapter] = [await openModel(base), await openAdapter(adapterPath('sd15', 'base'))];
    const { needs } = await writePatched(await compile(opened, { adapters: [adapter] }), patched);
    await Promise.all([opened.close(), adapter.close()]);
    assert.deepEqual(needs, ['base.onnx']);
    await (await load(patched)).release();
    const again = await openModel(patched);
    await stripPatched(again, join(base, '..', 'back.onnx'));
    await again.close();
    assert.ok(readFileSync(join(base, '..', 'back.onnx')).equals(readFileSync(base)));
  });

  it('a dynamo export keeps all its node metadata', async () => {
    const name = 'sd15-sdpa-dynamo23';
    const { path } = await patchFile(modelPath(name), [adapterPath('sd15', 'base')]);
    const [before, after] = [await metadataOf(modelPath(name)), await metadataOf(path)];
    assert.equal(before.length, 5852);
    assert.deepEqual(after, before);
  });
});

describe('sabotage', () => {
  for (const [name, options] of [
    ['sd15-sdpa-ts17', OPTIONS[0]!],
    ['sd15-sdpa-dynamo23', OPTIONS[1]!],
    ['sd15-sdpa-ts17-static', OPTIONS[0]!],
    ['sd15-sdpa-dynamo18', OPTIONS[2]!],
    ['sd15-sdpa-dynamo18', OPTIONS[3]!],
  ] as const) {
    const title = `${name}, --tokens ${options.tokens} --scale ${options.scale}`;
    noticed({ title, model: () => modelPath(name), adapters: () => [adapterPath('sd15', 'base')], options });
  }

  const patterns = ['mid_block.**.attn2', 'down_blocks.2.**.attn2'];
  for (const kind of KINDS) noticed({ ...kind, options: { ...kind.options, patterns } });

  it('dropping any single edit of drop-image-tokens is noticed', async () => {
    const opened = await openModel(modelPath('sd15-sdpa-ts17-static'));
    const passes = dropPasses(locate(opened.graph, {}), 4, { 'ipgraft.base': fingerprint(opened.file) });
    const { passes: results } = runPasses(opened, passes);
    for (const [index, { edits }] of results.entries()) {
      for (let dropped = 0; dropped < edits.length; dropped++) {
        const sabotaged = passes.map((each, i) => (i === index ? without(each, dropped) : each));
        assert.throws(() => runPasses(opened, sabotaged), /./, JSON.stringify(edits[dropped]));
      }
    }
    await opened.close();
  });

  it('a flipped bit in a patched file is noticed by strip', async () => {
    const { path } = await patchFile(modelPath('sd15-sdpa-ts17'), [adapterPath('sd15', 'base')]);
    const bytes = readFileSync(path);
    const at = bytes.indexOf('conv_in.bias') + 20;
    bytes[at]! ^= 1;
    const changed = join(freshFolder(), 'changed.onnx');
    writeFileSync(changed, bytes);
    const opened = await openModel(changed);
    await assert.rejects(
      stripPatched(opened, join(freshFolder(), 'base.onnx')),
      withCode('VERIFY_BASE_CHANGED'),
    );
    await opened.close();
  });
});

/** Each edit of each pass is left out in turn. */
function noticed({ title, model, adapters, options }: Kind): void {
  it(`${title}: dropping any single edit is noticed`, async () => {
    const opened = await openModel(model());
    const opens = await Promise.all(adapters().map((file) => openAdapter(file)));
    const located = locate(opened.graph, options);
    const stamp = { 'ipgraft.base': fingerprint(opened.file) };
    const grafts = opens.map((adapter, i) => graftOf(adapter, located, options.images?.[i]));
    const sites = loraSites(opened.graph, located.attentions, grafts, 1).slice(0, 6);
    const data: Segment = { kind: 'loaded', length: 0, bytes: new Uint8Array() };
    const lora = mergeLora(sites, new Map(sites.map(({ layer }) => [layer.weight, data])));
    const plan = planGraft(opened.graph, located, grafts, options);
    const passes = graftPasses(plan, stamp, sites.length === 0 ? null : lora);
    const { passes: results } = runPasses(opened, passes);
    for (const [index, { pass, edits }] of results.entries()) {
      for (let dropped = 0; dropped < edits.length; dropped++) {
        const sabotaged = passes.map((each, i) => (i === index ? without(each, dropped) : each));
        assert.throws(
          () => runPasses(opened, sabotaged),
          (error) => error instanceof IpgraftError && /^(EDIT|PASS|VERIFY)_/.test(error.code),
          `${pass}: edit ${dropped} of ${edits.length}, ${JSON.stringify(edits[dropped]).slice(0, 200)}`,
        );
      }
    }
    await Promise.all([opened, ...opens].map((file) => file.close()));
  });
}

function optionsFor(name: string): readonly GraftOptions[] {
  // The dictionary names blocks of SD1.5 and SD2.1.
  return familyOf(name) === 'sdxl' ? OPTIONS.slice(0, 3) : OPTIONS;
}

function without(pass: Pass, dropped: number): Pass {
  return {
    ...pass,
    run: (graph, history) => pass.run(graph, history).filter((_, index) => index !== dropped),
  };
}

function withCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof IpgraftError && error.code === code;
}

function sorted(entries: readonly unknown[]): string[] {
  return entries.map((entry) => JSON.stringify(entry)).sort();
}

/** The graph with every initializer in memory: equal bytes in two files are then equal, wherever they are. */
async function loaded({ graph }: Model): Promise<Graph> {
  const initializers = new Map<string, Initializer>();
  for (const [name, { record, place }] of graph.initializers) {
    const segments = record.segments.map(async (segment): Promise<Segment> => {
      if (segment.kind !== 'stored') return segment;
      const bytes = await segment.source.read(segment.offset, segment.length);
      return { kind: 'loaded', length: segment.length, bytes };
    });
    initializers.set(name, new Initializer(new Rope(await Promise.all(segments)), place));
  }
  return graph.with({ initializers });
}

/** Every metadata entry of every node, raw. */
async function metadataOf(path: string): Promise<string[]> {
  const { graph } = await readModel(bufferSource(readFileSync(path)));
  return graph.nodes.flatMap(({ id, record }) =>
    fields(record)
      .filter((field) => field.number === NODE.metadata)
      .map(
        (field) => `${id} ${Buffer.from(record.slice(field.payload, field.end).bytes!).toString('latin1')}`,
      ),
  );
}
