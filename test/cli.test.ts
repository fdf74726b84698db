import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { bufferSource } from '../compiler/io/byte-source.js';
import type { Initializer } from '../compiler/onnx/initializer.js';
import { onnx } from '../compiler/onnx/proto.js';
import { readModel } from '../compiler/onnx/read-model.js';
import { locateCrossAttention } from '../passes/locate-cross-attention.js';
import { openModel } from '../runtime/open.js';
import type { CompileReport } from '../runtime/report.js';
import { contentOf, ipgraft, ipgraftProcess, MAIN, type Outcome, placeModel } from './command.js';
import { adapterPath, freshFolder, modelPath } from './fixtures.js';
import { largestDifference, reference, type Values } from './numbers.js';
import { load, unetInputs } from './session.js';

const MODEL = 'sd15-sdpa-ts17';
const ADAPTER = adapterPath('sd15', 'base');
const TOLERANCE = 1e-5;

/** A run that must succeed, and say nothing on standard error. */
function good(outcome: Outcome): Outcome {
  assert.deepEqual([outcome.code, outcome.stderr], [0, '']);
  return outcome;
}

/** Standard output as JSON, all of it. */
function json<T = Record<string, unknown>>(outcome: Outcome): T {
  return JSON.parse(good(outcome).stdout) as T;
}

/** Labels and texts of what is printed for people. */
function rows({ stdout }: Outcome): [label: string, text: string][] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => [line.slice(0, 12).trim(), line.slice(12)]);
}

async function imageTokens(): Promise<Values> {
  const { dims, data } = (await reference('sd15', 'base')).get('ip_hidden_states');
  return { dims: dims.toSpliced(1, 1), data };
}

/** What a patched UNet with `--tokens input` and a baked scale computes. */
async function compute(path: string): Promise<Float32Array> {
  const session = await load(path);
  const feeds = { ...unetInputs(await reference('sd15', 'base')), ip_hidden_states: await imageTokens() };
  const results = await session.run(feeds);
  await session.release();
  return results.get('out_sample')!.data;
}

async function initializersOf(path: string): Promise<Initializer[]> {
  const { graph } = await readModel(bufferSource(readFileSync(path)));
  return [...graph.initializers.values()];
}

describe('ipgraft', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

  it('--version prints the version', () => {
    assert.equal(good(ipgraftProcess('--version')).stdout, `${version}\n`);
  });

  for (const args of [['help'], ['--help'], ['-h']]) {
    it(`${args} lists the verbs`, () => {
      const { stdout } = good(ipgraftProcess(...args));
      for (const verb of ['compile', 'inspect', 'project', 'strip'])
        assert.match(stdout, new RegExp(`^  ${verb} `, 'm'));
    });
  }

  it('help compile lists its options', async () => {
    const { stdout } = good(await ipgraft('help', 'compile'));
    for (const option of [
      '--adapter',
      '--output',
      '--tokens',
      '--scale',
      '--weights',
      '--pattern',
      '--text-input',
      '--init-from-text',
      '--num-tokens',
      '--projection',
      '--report',
      '--dry-run',
      '--force',
      '--json',
    ]) {
      assert.match(stdout, new RegExp(option));
    }
  });

  it('without a verb shows the help, on standard error, and fails', () => {
    const { code, stdout, stderr } = ipgraftProcess();
    assert.equal(stdout, '');
    assert.match(stderr, /compile/);
    assert.doesNotMatch(stderr, /outputHelp/);
    assert.equal(code, 9);
  });
});

describe('ipgraft compile', () => {
  it('as a process: writes the result and says what it did', () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'patched.onnx');
    const outcome = good(ipgraftProcess('compile', base, '--adapter', ADAPTER, '-o', out));
    const said = rows(outcome);
    assert.deepEqual(readdirSync(folder).sort(), ['patched.onnx', `${MODEL}.onnx`]);
    assert.match(said.find(([label]) => label === 'base')![1], new RegExp(`^${MODEL}.onnx .*opset 17`));
    assert.match(said.find(([label]) => label === 'found')![1], /^16 cross-attentions by node name/);
    assert.deepEqual(
      said.filter(([label]) => label === 'wrote').map(([, text]) => text.split(' ')[0]),
      ['patched.onnx'],
    );
  });

  it('puts large weights of the adapter into a file beside the result', async () => {
    const { folder, base } = placeModel(MODEL);
    const plus = adapterPath('sd15', 'plus');
    const out = join(folder, 'p.onnx');
    const { stdout } = good(await ipgraft('compile', base, '-a', plus, '-o', out, '--tokens', 'embeds'));
    assert.deepEqual(readdirSync(folder).sort(), ['p.ip_adapter.data', 'p.onnx', `${MODEL}.onnx`]);
    assert.match(stdout, /wrote {7}p\.ip_adapter\.data/);
    const locations = (await initializersOf(out)).map(({ external }) => external?.location);
    assert.ok(locations.includes('p.ip_adapter.data'));
  });

  it('prints no colours into a pipe', async () => {
    const { base } = placeModel(MODEL);
    const { stdout } = good(ipgraftProcess('compile', base, '-a', ADAPTER, '--dry-run'));
    assert.ok(!stdout.includes('\u001b'));
  });

  it('--json as a process: nothing but JSON on standard output', () => {
    const { folder, base } = placeModel(MODEL);
    const outcome = ipgraftProcess('compile', base, '-a', ADAPTER, '-o', join(folder, 'p.onnx'), '--json');
    const report = json<CompileReport>(outcome);
    assert.deepEqual(
      report.crossAttentions.map(({ id }) => id),
      Array.from({ length: 16 }, (_, n) => 2 * n + 1),
    );
    assert.deepEqual(
      report.inputs.map(({ name }) => name),
      ['sample', 'timestep', 'encoder_hidden_states', 'ip_scale'],
    );
    assert.equal(report.adapters[0]!.name, 'sd15-base.safetensors');
    assert.deepEqual(report.written!.files.map(({ name }) => name).at(-1), 'p.onnx');
  });

  it('reported sizes are the sizes of the files', async () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'p.onnx');
    const report = json<CompileReport>(await ipgraft('compile', base, '-a', ADAPTER, '-o', out, '--json'));
    for (const { name, bytes } of report.written!.files)
      assert.equal(readFileSync(join(folder, name)).length, bytes, name);
  });

  it('--report writes what --json prints', async () => {
    const { folder, base } = placeModel(MODEL);
    const file = join(folder, 'report.json');
    const { stdout } = good(
      await ipgraft('compile', base, '-a', ADAPTER, '-o', join(folder, 'p.onnx'), '--report', file, '--json'),
    );
    assert.equal(readFileSync(file, 'utf8'), stdout);
  });

  for (const output of [['-o', 'p.onnx'], []]) {
    it(`--dry-run ${output.length > 0 ? 'with' : 'without'} -o writes nothing`, async () => {
      const { folder, base } = placeModel(MODEL);
      const before = contentOf(folder);
      const paths = ['r.json', 'proj.onnx', ...output.slice(1)].map((name) => join(folder, name));
      const outcome = good(
        await ipgraft(
          ...['compile', base, '-a', ADAPTER, '--dry-run', '--report', paths[0]!, '--projection', paths[1]!],
          ...(output.length > 0 ? ['-o', paths[2]!] : []),
        ),
      );
      assert.deepEqual(contentOf(folder), before);
      assert.match(outcome.stdout, /16 cross-attentions/);
      assert.equal(rows(outcome).filter(([label]) => label === 'would write').length, output.length / 2);
    });
  }

  it('--force replaces what exists, once', async () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'p.onnx');
    const args = ['compile', base, '-a', ADAPTER, '-o', out];
    writeFileSync(out, 'something else');
    good(await ipgraft(...args, '--force'));
    const first = contentOf(folder);
    good(await ipgraft(...args, '--force'));
    assert.deepEqual(contentOf(folder), first);
  });

  it('makes the folder of the output', async () => {
    const out = join(freshFolder(), 'a', 'b', 'p.onnx');
    good(await ipgraft('compile', modelPath(MODEL), '-a', ADAPTER, '-o', out));
    assert.ok(existsSync(out));
  });

  it('--projection writes the image projection that fits the model', async () => {
    const { folder, base } = placeModel(MODEL);
    const [out, projection] = [join(folder, 'p.onnx'), join(folder, 'proj.onnx')];
    good(
      await ipgraft(
        'compile',
        base,
        '-a',
        ADAPTER,
        '-o',
        out,
        '--tokens',
        'input',
        '--projection',
        projection,
      ),
    );
    const { dims, data } = (await reference('sd15', 'base')).get('image_embeds');
    const session = await load(projection);
    const results = await session.run({ image_embeds: { dims: dims.toSpliced(1, 1), data } });
    await session.release();
    const { data: tokens } = await imageTokens();
    assert.ok(largestDifference(results.get('ip_hidden_states')!.data, tokens) <= TOLERANCE);
  });

  it('takes several adapters, by one option or by several', async () => {
    const plus = adapterPath('sd15', 'plus');
    for (const adapters of [
      ['-a', ADAPTER, plus],
      ['-a', ADAPTER, '--adapter', plus],
    ]) {
      const outcome = await ipgraft('compile', modelPath(MODEL), ...adapters, '--dry-run', '--json');
      assert.deepEqual(
        json<CompileReport>(outcome).adapters.map(({ tokens }) => tokens),
        [4, 16],
      );
    }
  });

  for (const pattern of ['mid_block.**.attn2', '/^mid_block.*attn2$/']) {
    it(`--pattern ${pattern} patches the matching cross-attentions only`, async () => {
      const out = join(freshFolder(), 'p.onnx');
      const args = [
        'compile',
        modelPath(MODEL),
        '-a',
        ADAPTER,
        '-o',
        out,
        '--tokens',
        'input',
        '--scale',
        '1',
      ];
      const report = json<CompileReport>(await ipgraft(...args, '--pattern', pattern, '--json'));
      assert.deepEqual(
        report.crossAttentions.filter(({ selected }) => selected).map(({ id }) => id),
        [31],
      );
      assert.ok(report.notes.some((note) => note.startsWith('15 cross-attentions')));
      const alone = (await reference('sd15', 'base')).get('only_31').data;
      assert.ok(largestDifference(await compute(out), alone) <= TOLERANCE);
    });
  }

  it('--pattern twice means both', async () => {
    const patterns = ['--pattern', 'mid_block.**.attn2', '--pattern', 'down_blocks.0.**.attn2'];
    const outcome = await ipgraft(
      ...['compile', modelPath(MODEL), '-a', ADAPTER, '--dry-run', '--json'],
      ...patterns,
    );
    const selected = json<CompileReport>(outcome).crossAttentions.filter((each) => each.selected);
    assert.deepEqual(
      selected.map(({ id }) => id),
      [1, 3, 31],
    );
  });

  describe('a text input by another name', () => {
    const renamed = (): string => {
      const model = onnx.ModelProto.decode(readFileSync(modelPath(MODEL)));
      const rename = (name: string) => (name === 'encoder_hidden_states' ? 'prompt' : name);
      for (const input of model.graph!.input!) input.name = rename(input.name!);
      for (const node of model.graph!.node!) node.input = node.input!.map(rename);
      const path = join(freshFolder(), 'renamed.onnx');
      writeFileSync(path, onnx.ModelProto.encode(model).finish());
      return path;
    };

    for (const [title, options] of [
      ['is found', []],
      ['is taken from --text-input', ['--text-input', 'prompt']],
    ] as const) {
      it(title, async () => {
        const outcome = await ipgraft('compile', renamed(), '-a', ADAPTER, '--dry-run', '--json', ...options);
        assert.equal(json<CompileReport>(outcome).textInput, 'prompt');
      });
    }
  });
});

describe('ipgraft compile --weights', () => {
  const LARGE = 16 * 1024;
  const baked = ['--tokens', 'input', '--scale', '1'];

  for (const mode of ['auto', 'reference']) {
    it(`${mode} beside the base names the base's large tensors where they are`, async () => {
      const { folder, base } = placeModel(MODEL);
      const out = join(folder, 'p.onnx');
      const args = ['compile', base, '-a', ADAPTER, '-o', out, '--weights', mode, '--json'];
      const { written } = json<CompileReport>(await ipgraft(...args));
      assert.equal(written!.weights, 'reference');
      assert.deepEqual(written!.needs, [`${MODEL}.onnx`]);
      const before = new Map((await initializersOf(base)).map((tensor) => [tensor.name, tensor]));
      const bytes = readFileSync(base);
      let named = 0;
      for (const { name, external, raw } of await initializersOf(out)) {
        const original = before.get(name);
        if (original === undefined || (original.raw?.length ?? 0) < LARGE) continue;
        named += 1;
        assert.equal(raw, null);
        assert.equal(external!.location, `${MODEL}.onnx`);
        const { source, offset } = original.raw!.segments[0] as { source?: unknown; offset: number };
        assert.ok(source !== undefined);
        assert.deepEqual([external!.offset, external!.length], [offset, original.raw!.length]);
        assert.ok(external!.offset + external!.length! <= bytes.length);
      }
      assert.ok(named > 10, `${named}`);
    });
  }

  it('reference and copy compute the same, to the last bit, and what diffusers computes', async () => {
    const { folder, base } = placeModel(MODEL);
    const results: Float32Array[] = [];
    for (const mode of ['reference', 'copy']) {
      const out = join(folder, `${mode}.onnx`);
      good(await ipgraft('compile', base, '-a', ADAPTER, '-o', out, ...baked, '--weights', mode));
      results.push(await compute(out));
    }
    assert.equal(largestDifference(results[0]!, results[1]!), 0);
    const sought = (await reference('sd15', 'base')).get('out_scale_1.0').data;
    assert.ok(largestDifference(results[0]!, sought) <= TOLERANCE);
  });

  it('copy beside the base needs nothing beside it', async () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'p.onnx');
    const args = ['compile', base, '-a', ADAPTER, '-o', out, '--weights', 'copy', '--json'];
    const { written } = json<CompileReport>(await ipgraft(...args));
    assert.deepEqual([written!.weights, written!.needs], ['copy', []]);
    assert.ok((await initializersOf(out)).every(({ external }) => external === null));
  });

  it('auto in another folder copies', async () => {
    const out = join(freshFolder(), 'p.onnx');
    const outcome = await ipgraft('compile', modelPath(MODEL), '-a', ADAPTER, '-o', out, '--json');
    assert.equal(json<CompileReport>(outcome).written!.weights, 'copy');
    assert.deepEqual(readdirSync(join(out, '..')), ['p.onnx']);
  });

  it('copy of a model with a data file into another folder brings it along', async () => {
    const name = 'sd15-sdpa-ts17-external';
    const { base } = placeModel(name);
    const folder = freshFolder();
    const out = join(folder, 'p.onnx');
    good(await ipgraft('compile', base, '-a', ADAPTER, '-o', out, ...baked, '--weights', 'copy'));
    assert.deepEqual(readdirSync(folder).sort(), ['p.onnx', `${name}.onnx_data`]);
    assert.ok(readFileSync(join(folder, `${name}.onnx_data`)).equals(readFileSync(`${base}_data`)));
    const sought = (await reference('sd15', 'base')).get('out_scale_1.0').data;
    assert.ok(largestDifference(await compute(out), sought) <= TOLERANCE);
  });

  it('a model with a data file, patched beside it, shares that file', async () => {
    const name = 'sd15-sdpa-ts17-external';
    const { folder, base } = placeModel(name);
    const out = join(folder, 'p.onnx');
    const outcome = await ipgraft('compile', base, '-a', ADAPTER, '-o', out, ...baked, '--json');
    assert.ok(json<CompileReport>(outcome).written!.needs.includes(`${name}.onnx_data`));
    const sought = (await reference('sd15', 'base')).get('out_scale_1.0').data;
    assert.ok(largestDifference(await compute(out), sought) <= TOLERANCE);
  });
});

describe('ipgraft compile --init-from-text', () => {
  const init = ['--init-from-text', '--num-tokens', '7', '--tokens', 'input', '--scale', 'input'];

  /** A copy of a patched model with more graph outputs. */
  function exposing(path: string, values: readonly string[]): string {
    const model = onnx.ModelProto.decode(readFileSync(path));
    for (const name of values)
      model.graph!.output!.push(onnx.ValueInfoProto.create({ name, type: { tensorType: { elemType: 1 } } }));
    const copy = join(freshFolder(), 'exposed.onnx');
    writeFileSync(copy, onnx.ModelProto.encode(model).finish());
    return copy;
  }

  it('with the text as image tokens doubles the output of every cross-attention', async () => {
    const out = join(freshFolder(), 'p.onnx');
    good(await ipgraft('compile', modelPath(MODEL), '-o', out, ...init));
    const base = await openModel(modelPath(MODEL));
    const exits = locateCrossAttention(base.graph).attentions.map(({ exit }) => exit);
    await base.close();
    const { graph } = await readModel(bufferSource(readFileSync(out)));
    const sums = exits.map(({ node, input }) => graph.producer(node)!.inputs[input]!);
    const session = await load(exposing(out, [...exits.map(({ value }) => value), ...sums]));
    const inputs = unetInputs(await reference('sd15', 'base'));
    const results = await session.run({
      ...inputs,
      ip_hidden_states: inputs.encoder_hidden_states!,
      ip_scale: { dims: [1], data: Float32Array.of(1) },
    });
    await session.release();
    assert.equal(exits.length, 16);
    exits.forEach(({ value }, i) => {
      const text = results.get(value)!.data;
      const sum = results.get(sums[i]!)!.data;
      assert.ok(
        text.some((each) => Math.abs(each) > 1e-2),
        `${value} is nothing`,
      );
      const difference = largestDifference(
        sum,
        text.map((each) => 2 * each),
      );
      assert.ok(difference <= TOLERANCE, `${value}: ${difference}`);
    });
  });

  it('reads weights from a data file too', async () => {
    const computed: Float32Array[] = [];
    for (const name of [MODEL, 'sd15-sdpa-ts17-external']) {
      const out = join(freshFolder(), 'p.onnx');
      const args = ['--init-from-text', '--num-tokens', '4', '--tokens', 'input', '--scale', '1'];
      good(await ipgraft('compile', modelPath(name), '-o', out, ...args));
      computed.push(await compute(out));
    }
    assert.ok(largestDifference(computed[0]!, computed[1]!) <= TOLERANCE);
  });
});

describe('ipgraft inspect', () => {
  it('as a process: lists the cross-attentions of a model', () => {
    const said = rows(good(ipgraftProcess('inspect', modelPath(MODEL))));
    assert.equal(said.find(([label]) => label === 'text')![1], 'encoder_hidden_states');
    assert.deepEqual(
      said.map(([label]) => label).filter((label) => label.startsWith('id ')),
      Array.from({ length: 16 }, (_, n) => `id ${2 * n + 1}`),
    );
    assert.match(said.at(-1)![1], /^mid_block\.attentions\.0\.transformer_blocks\.0\.attn2 .* by node name$/);
  });

  it('a reader that stops early is no error', function () {
    if (process.platform === 'win32') this.skip();
    // `true` is gone, and with it the pipe, before the first line is written.
    const script = 'set -o pipefail; "$0" "$1" inspect "$2" | true';
    const args = ['-c', script, process.execPath, MAIN, modelPath(MODEL)];
    const { status, stderr } = spawnSync('bash', args, { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  });

  it('--json as a process: nothing but JSON', () => {
    const found = json(ipgraftProcess('inspect', modelPath('sd15-sdpa-dynamo18'), '--json'));
    const first = (found.crossAttentions as Record<string, unknown>[])[0]!;
    assert.deepEqual(
      [found.kind, found.textInput, first.id, first.source, first.textWidth],
      ['model', 'encoder_hidden_states', 1, 'node metadata', 24],
    );
    assert.deepEqual(found.opsets, { 'ai.onnx': 18 });
  });

  it('of a patched model tells what was done to it', async () => {
    const out = join(freshFolder(), 'p.onnx');
    good(await ipgraft('compile', modelPath(MODEL), '-a', ADAPTER, '-o', out));
    const found = json(await ipgraft('inspect', out, '--json'));
    const stamp = found.patched as Record<string, string>;
    assert.equal(JSON.parse(stamp['ipgraft.adapters']!)[0].name, basename(ADAPTER));
    assert.equal(stamp['ipgraft.journal'], undefined);
    assert.ok((found.journal as number) > 100);
    assert.ok(rows(good(await ipgraft('inspect', out))).some(([label]) => label === 'journal'));
  });

  for (const [kind, format, family, tokens, reads] of [
    ['base', 'safetensors', 'base', 4, 'pooled'],
    ['plus', 'bin', 'plus', 16, 'hidden'],
    ['full-face', 'safetensors', 'full-face', 257, 'hidden'],
  ] as const) {
    it(`of sd15-${kind}.${format} tells family, tokens and layers`, async () => {
      const found = json(await ipgraft('inspect', adapterPath('sd15', kind, format), '--json'));
      assert.deepEqual(
        [found.kind, found.family, found.tokens, found.reads, found.tokenWidth, (found.layers as []).length],
        ['adapter', family, tokens, reads, 24, 16],
      );
      assert.match(found.sha256 as string, /^[0-9a-f]{64}$/);
    });
  }

  it('of an adapter, for people', async () => {
    const said = rows(good(await ipgraft('inspect', ADAPTER)));
    assert.match(said[0]![1], /^sd15-base\.safetensors {2}safetensors, base$/);
    assert.equal(said.filter(([label]) => label.startsWith('id ')).length, 16);
  });
});

describe('ipgraft project', () => {
  it('as a process: writes the image projection', async () => {
    const out = join(freshFolder(), 'image_proj.onnx');
    const outcome = good(ipgraftProcess('project', ADAPTER, '-o', out));
    assert.match(outcome.stdout, /^wrote {7}image_proj\.onnx .* base, 4 tokens of width 24\n$/);
    const session = await load(out);
    assert.deepEqual(session.inputs, ['image_embeds']);
    await session.release();
  });

  it('--json prints nothing but JSON, --force replaces', async () => {
    const out = join(freshFolder(), 'image_proj.onnx');
    writeFileSync(out, 'something else');
    const found = json(await ipgraft('project', ADAPTER, '-o', out, '--force', '--json'));
    assert.deepEqual(found, {
      file: 'image_proj.onnx',
      bytes: readFileSync(out).length,
      family: 'base',
      tokens: 4,
    });
  });
});

describe('ipgraft strip', () => {
  for (const [name, mode] of [
    [MODEL, 'reference'],
    [MODEL, 'copy'],
    ['sd15-sdpa-ts17-external', 'reference'],
    ['sd15-sdpa-dynamo23', 'reference'],
  ] as const) {
    it(`gives ${name} back byte for byte after --weights ${mode}`, async () => {
      const { folder, base } = placeModel(name);
      const [out, back] = [join(folder, 'p.onnx'), join(folder, 'back.onnx')];
      good(await ipgraft('compile', base, '-a', ADAPTER, '-o', out, '--weights', mode));
      good(await ipgraft('strip', out, '-o', back));
      assert.ok(readFileSync(back).equals(readFileSync(base)));
    });
  }

  it('as a process: writes the base and says so', () => {
    const { folder, base } = placeModel(MODEL);
    const [out, back] = [join(folder, 'p.onnx'), join(folder, 'back.onnx')];
    good(ipgraftProcess('compile', base, '-a', ADAPTER, '-o', out));
    const { stdout } = good(ipgraftProcess('strip', out, '-o', back));
    assert.match(stdout, /^wrote {7}back\.onnx/);
    assert.ok(readFileSync(back).equals(readFileSync(base)));
  });

  it('--json prints nothing but JSON', async () => {
    const { folder, base } = placeModel(MODEL);
    const [out, back] = [join(folder, 'p.onnx'), join(folder, 'back.onnx')];
    good(await ipgraft('compile', base, '-a', ADAPTER, '-o', out));
    const found = json(await ipgraft('strip', out, '-o', back, '--json'));
    assert.deepEqual(found, { file: 'back.onnx', bytes: readFileSync(base).length });
  });
});
