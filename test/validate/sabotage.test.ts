import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { apply } from '../../compiler/edit/apply.js';
import type { Edit } from '../../compiler/edit/edit.js';
import { integerTensor } from '../../compiler/onnx/create.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { CrossAttention } from '../../passes/locate-cross-attention.js';
import { branchExitOf, imageProjectionOf, imageWeightOf, nodeScope } from '../../passes/names.js';
import { compile } from '../../runtime/compile.js';
import { openAdapter, openModel } from '../../runtime/open.js';
import type { Validation } from '../../runtime/validate/validation.js';
import { writePatched } from '../../runtime/write-patched.js';
import { ipgraft } from '../command.js';
import { adapterPath, fixturePath, formPath, freshFolder, modelPath } from '../fixtures.js';
import type { KindOptions } from '../patched.js';

const SHAPES = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
const MODEL = 'sd15-sdpa-dynamo18';
/** The layer that is sabotaged: one in the middle of an order, whose neighbours have its shape. */
const ID = 7;
const SCOPE = 'down_blocks.1.attentions.1.transformer_blocks.0.attn2';

/** A model compiled with a fault: `faults` are edits of the compiled graph that its journal does not know. */
async function sabotaged(
  model: string,
  adapter: string,
  options: KindOptions,
  faults: (graph: Graph, site: CrossAttention) => Edit[],
): Promise<string> {
  const [opened, checkpoint] = [await openModel(model), await openAdapter(adapter)];
  try {
    const patched = await compile(opened, { adapters: [checkpoint], ...options });
    const site = patched.located.attentions.find(({ id }) => id === ID)!;
    assert.equal(site.scope, SCOPE);
    const graph = apply(patched.graph, faults(patched.graph, site));
    const path = join(freshFolder(), 'patched.onnx');
    await writePatched({ ...patched, graph }, path);
    return path;
  } finally {
    await Promise.all([opened.close(), checkpoint.close()]);
  }
}

/** Validates a model that must fail, and answers with its faults by the cross-attention's id. */
async function faultsOf(
  model: string,
  patched: string,
  adapter: string,
): Promise<Map<number, string | null>> {
  const mask = model.includes('masked') ? ['--shape', 'encoder_attention_mask=2x7'] : [];
  const args = ['validate', model, patched, '--adapter', adapter, ...SHAPES, ...mask];
  const { code, stdout, stderr } = await ipgraft(...args, '--json');
  assert.deepEqual([code, stderr], [1, '']);
  const { sites, checks } = JSON.parse(stdout) as Validation;
  const failed = sites.filter(({ passed }) => !passed);
  const check = checks.find(({ name }) => name === 'every cross-attention, recomputed')!;
  assert.equal(check.passed, false);
  for (const { scope } of failed) assert.ok(check.detail.includes(scope), check.detail);
  return new Map(failed.map(({ id, diagnosis }) => [id, diagnosis]));
}

/** Every reading of a value moved to another value. */
function moved(graph: Graph, from: string, to: string): Edit[] {
  return graph.uses(from).map(({ node, input }) => ({ kind: 'rewire', node: node.id, input, from, to }));
}

const product = (which: 'k' | 'v') => imageProjectionOf(SCOPE, which, 0);
const scaled = `${nodeScope(SCOPE)}/ip/Mul_output_0`;

/** Inserts one operator behind `from`, which everybody reads in its place. */
function behind(graph: Graph, site: CrossAttention, from: string, opType: string, other: string): Edit[] {
  const output = `${from}_sabotaged`;
  const node = { opType, name: output, inputs: [from, other], outputs: [output] };
  return [
    {
      kind: 'insert-node',
      node,
      before: graph.uses(from)[0]!.node.place === null ? site.exit.node : graph.uses(from)[0]!.node.id,
    },
    ...moved(graph, from, output),
  ];
}

describe('a patched model with a fault fails, and the fault is named', () => {
  const base = adapterPath('sd15', 'base');
  const cases: [fault: string, KindOptions, (graph: Graph, site: CrossAttention) => Edit[]][] = [
    [
      'K′ and V′ are swapped',
      {},
      (graph) => [...moved(graph, product('k'), product('v')), ...moved(graph, product('v'), product('k'))],
    ],
    [
      'the weights of id 5 are taken',
      {},
      (graph) =>
        (['k', 'v'] as const).flatMap((which) => {
          const other = 'down_blocks.1.attentions.0.transformer_blocks.0.attn2';
          return moved(graph, imageWeightOf(SCOPE, which, 0), imageWeightOf(other, which, 0));
        }),
    ],
    [
      'to_v_ip of id 5 is taken',
      {},
      (graph) =>
        moved(
          graph,
          imageWeightOf(SCOPE, 'v', 0),
          imageWeightOf('down_blocks.1.attentions.0.transformer_blocks.0.attn2', 'v', 0),
        ),
    ],
    ['the scale is ignored', {}, (graph) => moved(graph, scaled, branchExitOf(SCOPE, 0))],
    [
      'the scale is applied twice',
      {},
      (graph, site) => behind(graph, site, scaled, 'Mul', graph.producer(scaled)!.inputs[1]!),
    ],
    [
      'the image attention is not added',
      {},
      (graph, { exit }) => {
        const sum = graph.producer(exit.node)!.inputs[exit.input]!;
        return [{ kind: 'rewire', node: exit.node, input: exit.input, from: sum, to: exit.value }];
      },
    ],
    [
      'the bias of to_out is applied twice',
      {},
      (graph, site) => {
        const bias = graph.uses(site.exit.node)[0]!.node;
        const name = bias.inputs.find((input) => graph.initializers.has(input))!;
        return behind(graph, site, site.exit.node, 'Add', name);
      },
    ],
    [
      'the image’s mask is ignored',
      { masks: true, tokens: 'input' },
      (graph) => moved(graph, `${nodeScope(SCOPE)}/ip/Mul_mask_output_0`, branchExitOf(SCOPE, 0)),
    ],
    [
      'the scale of id 5 is taken',
      { scale: 'layers' },
      (graph) => {
        const [gather] = graph.nodes.filter(({ name }) => name === `${nodeScope(SCOPE)}/ip/Gather`);
        const index = graph.nodes.find(
          ({ name }) =>
            name.endsWith('attentions.0/transformer_blocks.0/attn2/ip/Gather') &&
            name.includes('down_blocks.1'),
        )!.inputs[1]!;
        return [{ kind: 'rewire', node: gather!.id, input: 1, from: gather!.inputs[1]!, to: index }];
      },
    ],
  ];
  for (const [fault, options, faults] of cases)
    it(fault, async () => {
      const patched = await sabotaged(modelPath(MODEL), base, options, faults);
      assert.deepEqual([...(await faultsOf(modelPath(MODEL), patched, base))], [[ID, fault]]);
    });

  it('the text attention is changed', async () => {
    const patched = await sabotaged(modelPath(MODEL), base, {}, (graph, { key, value }) => {
      const reading = graph.uses(value.output).find(({ node }) => node.opType === 'Reshape')!;
      return [{ kind: 'rewire', node: reading.node.id, input: 0, from: value.output, to: key.output }];
    });
    assert.deepEqual(
      [...(await faultsOf(modelPath(MODEL), patched, base))],
      [[ID, 'the text attention is changed']],
    );
  });

  it('the image attention is added behind to_out, with its bias once more', async () => {
    const patched = await sabotaged(modelPath(MODEL), base, {}, (graph, { exit }) => {
      const layer = graph.producer(exit.node)!;
      const [add] = graph.uses(exit.node).map(({ node }) => node);
      const sum = layer.inputs[exit.input]!;
      const of = (name: string, opType: string, inputs: string[]): Edit => ({
        kind: 'insert-node',
        node: { opType, name, inputs, outputs: [name] },
        before: graph.uses(add!.id)[0]!.node.id,
      });
      const bias = add!.inputs.find((input) => graph.initializers.has(input))!;
      return [
        { kind: 'rewire', node: exit.node, input: exit.input, from: sum, to: exit.value },
        of('sabotage/out', 'MatMul', [scaled, layer.inputs[1]!]),
        of('sabotage/bias', 'Add', ['sabotage/out', bias]),
        of('sabotage/sum', 'Add', [add!.id, 'sabotage/bias']),
        ...moved(graph, add!.id, 'sabotage/sum'),
      ];
    });
    const fault = 'the image attention is added behind to_out: the bias of to_out is applied twice';
    assert.deepEqual([...(await faultsOf(modelPath(MODEL), patched, base))], [[ID, fault]]);
  });

  it('the mask of the text is kept in the image attention', async () => {
    const model = formPath('masked-sdpa-ts17');
    const adapter = fixturePath('forms', 'masked.adapter.safetensors');
    const patched = await sabotaged(model, adapter, {}, (graph, { exit, cone }) => {
      const softmax = graph.nodes.find(
        ({ opType, name }) => opType === 'Softmax' && name.startsWith(`${nodeScope(SCOPE)}/ip/`),
      )!;
      const mask = cone
        .map((id) => graph.producer(id)!)
        .find(({ opType }) => opType === 'Add')!
        .inputs.find((input) => !cone.includes(graph.producer(input)?.id ?? ''))!;
      const numbers = (name: string, value: number): Edit => ({
        kind: 'insert-initializer',
        tensor: integerTensor(name, [value]),
      });
      return [
        ...[numbers('sabotage/0', 0), numbers('sabotage/4', 4), numbers('sabotage/axis', -1)],
        {
          kind: 'insert-node',
          node: {
            opType: 'Slice',
            name: 'sabotage/slice',
            inputs: [mask, 'sabotage/0', 'sabotage/4', 'sabotage/axis'],
            outputs: ['sabotage/slice'],
          },
          before: exit.node,
        },
        {
          kind: 'insert-node',
          node: {
            opType: 'Add',
            name: 'sabotage/add',
            inputs: [softmax.inputs[0]!, 'sabotage/slice'],
            outputs: ['sabotage/add'],
          },
          before: exit.node,
        },
        { kind: 'rewire', node: softmax.id, input: 0, from: softmax.inputs[0]!, to: 'sabotage/add' },
      ];
    });
    const faults = await faultsOf(model, patched, adapter);
    assert.deepEqual([...faults], [[ID, 'the text’s attention mask is kept in the image attention']]);
  });

  it('a checkpoint whose layers of one shape are in another order', async () => {
    const permuted = join(freshFolder(), 'permuted.safetensors');
    const order = await permute(base, permuted);
    const patched = await sabotaged(modelPath(MODEL), permuted, {}, () => []);
    const faults = await faultsOf(modelPath(MODEL), patched, base);
    const expected = [...order].filter(([id, other]) => id !== other);
    assert.ok(expected.length >= 4);
    assert.deepEqual(
      [...faults].sort(([a], [b]) => a - b),
      expected.map(([id, other]) => [id, `the weights of id ${other} are taken`]),
    );
  });
});

/** Writes an adapter whose layers of one shape are rotated by one; answers which id has whose weights. */
async function permute(from: string, to: string): Promise<Map<number, number>> {
  const bytes = readFileSync(from);
  const length = Number(bytes.readBigUInt64LE(0));
  type Header = Record<string, { shape: number[]; data_offsets: [number, number] }>;
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Header;
  const name = (id: number, which: string) => `ip_adapter.${id}.to_${which}_ip.weight`;
  const ids = Object.keys(header)
    .flatMap((key) => /^ip_adapter\.(\d+)\.to_k_ip/.exec(key)?.[1] ?? [])
    .map(Number);
  const order = new Map<number, number>();
  const changed = { ...header };
  for (const id of ids.sort((a, b) => a - b)) {
    const alike = ids.filter(
      (other) => header[name(other, 'k')]!.shape.join() === header[name(id, 'k')]!.shape.join(),
    );
    const other = alike[(alike.indexOf(id) + 1) % alike.length]!;
    order.set(id, other);
    for (const which of ['k', 'v'])
      changed[name(id, which)] = {
        ...header[name(id, which)]!,
        data_offsets: header[name(other, which)]!.data_offsets,
      };
  }
  const json = JSON.stringify(changed);
  const head = Buffer.from(json.padEnd(length));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(head.length));
  writeFileSync(to, Buffer.concat([size, head, bytes.subarray(8 + length)]));
  return order;
}
