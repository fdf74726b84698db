import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ModelDiff } from '../compiler/diff/model-diff.js';
import { createNode } from '../compiler/onnx/create.js';
import { ATTRIBUTE, ENTRY, GRAPH, MODEL, NODE, TENSOR, VALUE_INFO } from '../compiler/onnx/schema.js';
import { fields, text } from '../compiler/wire/fields.js';
import { Rope } from '../compiler/wire/rope.js';
import { integerRecord, record, splice, textRecord } from '../compiler/wire/splice.js';
import { ipgraft, placeModel } from './command.js';
import {
  adapterPath,
  EXPORTS,
  familyOf,
  fixturePath,
  formPath,
  freshFolder,
  modelPath,
  VARIANTS,
} from './fixtures.js';
import { renameAll } from './renamed-model.js';

const BASE = 'sd15-sdpa-ts17';
const ADAPTER = adapterPath('sd15', 'base');

async function patch(
  name: string,
  ...options: readonly string[]
): Promise<{ base: string; patched: string }> {
  const { folder, base } = placeModel(name);
  // Its data file bears another variant's name.
  const data = `${BASE}-external.onnx_data`;
  if (name.endsWith('-static')) copyFileSync(join(dirname(modelPath(name)), data), join(folder, data));
  const patched = join(folder, 'patched.onnx');
  const adapter = adapterPath(familyOf(name), 'base');
  const { code, stderr } = await ipgraft('compile', base, '-a', adapter, '-o', patched, ...options);
  assert.equal(code, 0, stderr);
  return { base, patched };
}

async function diffOf(...args: readonly string[]): Promise<ModelDiff & { readonly code: number | null }> {
  const { code, stdout } = await ipgraft('diff', ...args, '--json');
  return { ...(JSON.parse(stdout) as ModelDiff), code };
}

describe('ipgraft diff', () => {
  for (const name of [...EXPORTS, ...VARIANTS]) {
    it(`${name}: every change of a patched model is an edit that it declares`, async () => {
      const { base, patched } = await patch(name);
      const { code, proof, changes } = await diffOf(base, patched, '-a', adapterPath(familyOf(name), 'base'));
      assert.deepEqual(proof?.faults, []);
      assert.deepEqual(proof.unexplained, []);
      assert.ok(proof.holds && proof.edits > 100 && changes.length > proof.edits);
      assert.deepEqual([proof.source, proof.open], ['recomputed', []]);
      assert.equal(code, 0);
    });
  }

  for (const options of [
    ['--weights', 'copy'],
    ['--tokens', 'embeds', '--scale', '0.6'],
    ['--scale', 'rows', '--images', '2', '--masks', '--tokens', 'input'],
    ['--weight-type', 'strong-style-and-composition', '--composition-weight', '0.5', '--scale', 'layers'],
    ['--embeds-scaling', 'k+mean-v-penalty', '--pattern', 'up_blocks.**.attn2', '--scale', 'optional=0.6'],
    ['--hoist'],
  ]) {
    it(`${options.join(' ')}: compiling again makes the same edits`, async () => {
      const { base, patched } = await patch(BASE, ...options);
      const { code, proof } = await diffOf(base, patched, '-a', ADAPTER);
      assert.deepEqual([proof?.holds, proof?.faults, proof?.source, code], [true, [], 'recomputed', 0]);
    });
  }

  it('a model without an adapter, and a ControlNet that drops image tokens, are proved too', async () => {
    const { folder, base } = placeModel(BASE);
    for (const options of [
      ['--init-from-text', '--num-tokens', '4'],
      ['--drop-image-tokens', '4'],
    ]) {
      const patched = join(folder, `${options[0]}.onnx`);
      assert.equal((await ipgraft('compile', base, '-o', patched, ...options)).code, 0);
      const { proof, code } = await diffOf(base, patched);
      assert.deepEqual([proof?.holds, proof?.source, code], [true, 'journal', 0]);
    }
  });

  it('a swapped adapter is proved by the new one, and not by the old one', async () => {
    const { base, patched } = await patch(BASE, '--tokens', 'input');
    const other = fixturePath('adapters', 'sd15-base.bin');
    const swapped = join(dirname(patched), 'swapped.onnx');
    assert.equal((await ipgraft('swap', patched, '-a', other, '-o', swapped)).code, 0);
    assert.equal((await diffOf(base, swapped, '-a', other)).proof?.holds, true);
  });

  it('another adapter than the one inside is noticed by its weights', async () => {
    const { base, patched } = await patch(BASE);
    const changed = readFileSync(ADAPTER);
    changed[changed.length - 1]! ^= 1;
    const other = join(freshFolder(), 'other.safetensors');
    writeFileSync(other, changed);
    const { proof, code } = await diffOf(base, patched, '-a', other);
    assert.match(
      proof!.faults.join(),
      /^down_blocks\S+\.attn2\.to_v_ip\.weight has other data from byte \d+ on$/,
    );
    assert.equal(code, 1);
  });

  it('ends with 1 for any difference where --exit-code asks for it, and with 0 for equal models', async () => {
    const { base, patched } = await patch(BASE);
    assert.equal((await ipgraft('diff', base, patched)).code, 0);
    assert.equal((await ipgraft('diff', base, patched, '--exit-code')).code, 1);
    assert.equal((await ipgraft('diff', base, modelPath('sd15-sdpa-ts17-fp16'))).code, 0);
    assert.equal((await ipgraft('diff', base, base, '--exit-code')).code, 0);
    const { changes, counts } = await diffOf(base, base);
    assert.deepEqual(changes, []);
    assert.equal(counts.node.unchanged, 4496);
  });

  it('writes a report, and refuses to replace one or a model', async () => {
    const { base, patched } = await patch(BASE);
    const report = join(dirname(base), 'report.html');
    assert.equal((await ipgraft('diff', base, patched, '--html', report)).code, 0);
    const page = readFileSync(report, 'utf8');
    assert.match(page, /^<!doctype html>/i);
    assert.ok(page.includes('mid_block.attentions.0.transformer_blocks.0.attn2'));
    assert.match((await ipgraft('diff', base, patched, '--html', report)).stderr, /^OUTPUT_EXISTS/);
    assert.equal((await ipgraft('diff', base, patched, '--html', report, '--force')).code, 0);
    assert.equal(readFileSync(report, 'utf8'), page);
    assert.match(
      (await ipgraft('diff', base, patched, '--html', base, '--force')).stderr,
      /^OUTPUT_IS_INPUT/,
    );
  });

  it('shows a dozen changes, and all with --verbose', async () => {
    const [a, b] = [modelPath(BASE), modelPath('sd15-sdpa-ts17-fp16')];
    const lines = async (...flags: readonly string[]) =>
      (await ipgraft('diff', a, b, ...flags)).stdout.trim().split('\n');
    const { changes } = await diffOf(a, b);
    const [short, long] = [await lines(), await lines('--verbose')];
    assert.match(short.at(-1)!, new RegExp(`${changes.length - 12} more`));
    assert.equal(long.length, short.length - 13 + changes.length);
  });
});

describe('models with other names line up', () => {
  for (const name of [
    'sd15-sdpa-ts17',
    'sd15-classic-ts14',
    'sd15-sdpa-dynamo18',
    'sd15-wrapped-ts17',
    'sdxl-sdpa-ts17',
  ]) {
    const bytes = new Uint8Array(readFileSync(modelPath(name)));
    const renamings: Readonly<Record<string, (name: string) => string>> = {
      'every name': (
        (n) => () =>
          `x${n++}`
      )(0),
      'other numbers in names, some of them taken before': (old) =>
        old.replace(/(?<=_)\d+(?=$|_)/g, (digits) => String(Number(digits) + 29)),
    };
    for (const [what, rename] of Object.entries(renamings)) {
      it(`${name}: ${what}`, async () => {
        const other = join(freshFolder(), 'other.onnx');
        writeFileSync(other, renameAll(bytes, rename));
        const { changes, counts } = await diffOf(modelPath(name), other);
        const kinds = new Set(changes.flatMap(({ aspects }) => aspects.map(({ kind }) => kind)));
        assert.deepEqual([...kinds], ['renamed']);
        assert.ok(counts.node.renamed > 100 && counts.initializer.renamed > 0);
      });
    }
  }

  for (const form of ['ts17', 'dynamo18']) {
    it(`compact-${form} beside compact-anonymous-${form}: no node is added, removed or rewired`, async () => {
      const { counts } = await diffOf(formPath(`compact-${form}`), formPath(`compact-anonymous-${form}`));
      const { added, removed, rewired, moved } = counts.node;
      assert.deepEqual([added, removed, rewired, moved], [0, 0, 0, 0]);
      assert.deepEqual([counts.initializer.added, counts.initializer.removed], [0, 0]);
    });
  }
});

describe('whatever no edit explains is found', () => {
  let base: string;
  let patched: string;
  let bytes: Rope;
  before(async () => {
    ({ base, patched } = await patch(BASE, '--weights', 'copy'));
    bytes = Rope.of(new Uint8Array(readFileSync(patched)));
  });

  /** Diffs the base with the patched model after `change`. */
  async function found(change: (model: Rope) => Rope): Promise<string> {
    const path = join(dirname(patched), 'changed.onnx');
    writeFileSync(path, change(bytes).bytes!);
    const { code, stdout } = await ipgraft('diff', base, path);
    assert.equal(code, 1);
    assert.match(stdout, /does not hold/);
    return stdout;
  }

  /** Changes the first record of the graph, of one kind, that fits. */
  function inGraph(
    kind: number,
    fits: (content: Rope) => boolean,
    change: (content: Rope) => Rope | readonly Rope[],
  ): (model: Rope) => Rope {
    return (model) =>
      splice(model, (field) => {
        if (field.number !== MODEL.graph) return undefined;
        const graph = model.slice(field.payload, field.end);
        let isDone = false;
        const changed = splice(graph, (part) => {
          if (part.number !== kind || isDone) return undefined;
          const content = graph.slice(part.payload, part.end);
          if (!fits(content)) return undefined;
          isDone = true;
          const now = change(content);
          return now instanceof Rope ? record(kind, now) : Rope.join(now.map((each) => record(kind, each)));
        });
        assert.ok(isDone, 'nothing fits');
        return record(MODEL.graph, changed);
      });
  }

  const texts = (message: Rope, number: number) =>
    fields(message)
      .filter((field) => field.number === number)
      .map((field) => text(message, field));
  const called = (number: number, pattern: RegExp) => (message: Rope) =>
    texts(message, number).some((name) => pattern.test(name));
  const replace = (number: number, by: Rope) => (message: Rope) => {
    let isDone = false;
    return splice(message, (field) => {
      if (field.number !== number || isDone) return undefined;
      isDone = true;
      return by;
    });
  };
  const named = called(NODE.name, /^\/down_blocks\.1\/resnets\.0\/conv1\/Conv$/);

  it('one flipped bit of a weight of the base', async () => {
    const flip = (tensor: Rope) =>
      splice(tensor, (field) => {
        if (field.number !== TENSOR.rawData) return undefined;
        const data = tensor.slice(field.payload, field.end).bytes!.slice();
        data[data.length >> 1]! ^= 0x10;
        return record(TENSOR.rawData, data);
      });
    const text = await found(inGraph(GRAPH.initializer, called(TENSOR.name, /^conv_in\.weight$/), flip));
    assert.match(text, /unexplained initializer conv_in\.weight .*data: other bytes from 576 on/);
  });

  it('a renamed node, of the base and of the graft', async () => {
    const rename = replace(NODE.name, textRecord(NODE.name, 'another'));
    assert.match(
      await found(inGraph(GRAPH.node, named, rename)),
      /unexplained node Conv .*name: .* → another/,
    );
    const ours = called(NODE.name, /\/ip\/Add$/);
    assert.match(await found(inGraph(GRAPH.node, ours, rename)), /fault +what was inserted/);
  });

  it('reordered attributes, a changed one, and a missing one', async () => {
    const attributes = (node: Rope) => fields(node).filter(({ number }) => number === NODE.attribute);
    const edit = (change: (attributes: Rope[]) => Rope[]) => (node: Rope) => {
      const parts = attributes(node);
      const now = change(parts.map(({ payload, end }) => node.slice(payload, end)));
      const rest = splice(node, ({ number }) => (number === NODE.attribute ? Rope.EMPTY : undefined));
      return Rope.join([rest, ...now.map((attribute) => record(NODE.attribute, attribute))]);
    };
    const change = (edited: (attributes: Rope[]) => Rope[]) =>
      found(inGraph(GRAPH.node, named, edit(edited)));
    assert.match(await change((all) => all.reverse()), /order of attributes: dilations/);
    assert.match(await change((all) => all.slice(1)), /attribute dilations: .* → nothing/);
    const group = (all: Rope[]) =>
      all.map((attribute) =>
        texts(attribute, ATTRIBUTE.name)[0] === 'group'
          ? replace(3, integerRecord(3, 2))(attribute)
          : attribute,
      );
    assert.match(await change(group), /attribute group: "1" → "2"/);
  });

  it('a node that is gone, one that is new, one that moved, and another operator', async () => {
    assert.match(await found(inGraph(GRAPH.node, named, () => [])), /unexplained node Conv \/down_blocks\.1/);
    const extra = createNode({
      opType: 'Relu',
      name: 'extra',
      inputs: ['sample'],
      outputs: ['extra_out'],
    }).record;
    assert.match(
      await found(inGraph(GRAPH.node, named, (node) => [node, extra])),
      /unexplained node Relu extra/,
    );
    const operator = replace(NODE.opType, textRecord(NODE.opType, 'ConvTranspose'));
    assert.match(await found(inGraph(GRAPH.node, named, operator)), /operator: Conv → ConvTranspose/);
    let taken = Rope.EMPTY;
    const take = inGraph(GRAPH.node, called(NODE.output, /^\/Shape_output_0$/), (node) => {
      taken = node;
      return [];
    });
    const put = inGraph(GRAPH.node, named, (node) => [node, taken]);
    assert.match(
      await found((model) => put(take(model))),
      /unexplained node Shape \/Shape: position: \d+ → \d+/,
    );
  });

  it('a reading that was moved, and one that was moved back', async () => {
    const sample = replace(NODE.input, textRecord(NODE.input, 'sample'));
    assert.match(
      await found(inGraph(GRAPH.node, named, sample)),
      /unexplained node Conv .*input 0: .* → sample/,
    );
    const patchedReading = called(NODE.input, /^\/ip_adapter\/text_tokens$/);
    const back = replace(NODE.input, textRecord(NODE.input, 'encoder_hidden_states'));
    assert.match(await found(inGraph(GRAPH.node, patchedReading, back)), /declared and not there: rewire/);
  });

  it('another name, type or shape of a weight, an input, an output', async () => {
    const bias = called(TENSOR.name, /^conv_in\.bias$/);
    assert.match(
      await found(
        inGraph(GRAPH.initializer, bias, replace(TENSOR.dataType, integerRecord(TENSOR.dataType, 6))),
      ),
      /dtype: float → int32/,
    );
    assert.match(
      await found(inGraph(GRAPH.initializer, bias, replace(TENSOR.dims, integerRecord(TENSOR.dims, 4)))),
      /dims: \[\d+\] → \[4\]/,
    );
    const input = called(VALUE_INFO.name, /^sample$/);
    const type = (info: Rope) =>
      splice(info, ({ number }) => (number === VALUE_INFO.type ? Rope.EMPTY : undefined));
    assert.match(await found(inGraph(GRAPH.input, input, type)), /unexplained input sample .*dtype: float/);
    const output = called(VALUE_INFO.name, /^out_sample$/);
    assert.match(await found(inGraph(GRAPH.output, output, type)), /unexplained output out_sample/);
  });

  it('what the model says of itself: producer, opset, metadata, and its own stamp', async () => {
    const inModel = (number: number, change: (content: Rope) => Rope) => (model: Rope) =>
      splice(model, (field) =>
        field.number === number ? record(number, change(model.slice(field.payload, field.end))) : undefined,
      );
    assert.match(
      await found(inModel(MODEL.producerName, () => Rope.of(new TextEncoder().encode('nobody')))),
      /producer_name: value: pytorch → nobody/,
    );
    assert.match(
      await found(inModel(MODEL.opsetImport, (entry) => replace(2, integerRecord(2, 18))(entry))),
      /value: 17 → 18/,
    );
    const entry = Rope.join([textRecord(ENTRY.key, 'author'), textRecord(ENTRY.value, 'me')]);
    assert.match(
      await found((model) => Rope.join([model, record(MODEL.metadata, entry)])),
      /unexplained metadata author/,
    );
    const stamped = (key: string, change: (value: string) => string) =>
      inModel(MODEL.metadata, (each) => {
        if (texts(each, ENTRY.key)[0] !== key) return each;
        return replace(ENTRY.value, textRecord(ENTRY.value, change(texts(each, ENTRY.value)[0]!)))(each);
      });
    for (const key of ['ipgraft.options', 'ipgraft.adapters', 'ipgraft.version', 'ipgraft.seal'])
      assert.match(await found(stamped(key, (value) => `${value} `)), /fault +what was inserted/);
    assert.match(
      await found(stamped('ipgraft.base', (value) => `0${value.slice(1)}`)),
      /made of a base with/,
    );
    assert.match(await found(stamped('ipgraft.journal', () => '[]')), /does not hold/);
    assert.match(await found(stamped('ipgraft.journal', () => 'nonsense')), /EDIT_JOURNAL_MALFORMED/);
  });

  it('one flipped bit of a weight outside the model', async () => {
    const { base: other, patched: outside } = await patch('sd15-sdpa-ts17-external');
    const folder = freshFolder();
    const data = 'sd15-sdpa-ts17-external.onnx_data';
    const weights = readFileSync(join(dirname(outside), data));
    weights[weights.length >> 1]! ^= 1;
    writeFileSync(join(folder, data), weights);
    for (const file of ['patched.onnx', 'patched.ip_adapter.data'])
      if (readFileSync(outside).includes(file) || file === 'patched.onnx')
        copyFileSync(join(dirname(outside), file), join(folder, file));
    const { code, stdout } = await ipgraft('diff', other, join(folder, 'patched.onnx'));
    assert.equal(code, 1);
    assert.match(stdout, /unexplained initializer .*data: other bytes from \d+ on/);
  });
});
