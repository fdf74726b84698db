import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KINDS, type ModelDiff, SUBJECTS } from '../compiler/diff/model-diff.js';
import { editsBetween } from '../compiler/edit/edits-between.js';
import { type ByteSource, rangeSource } from '../compiler/io/byte-source.js';
import type { Graph } from '../compiler/onnx/graph.js';
import { onnx } from '../compiler/onnx/proto.js';
import { diff } from '../runtime/diff.js';
import { diffReport } from '../runtime/html/diff-report.js';
import { openModel } from '../runtime/open.js';
import type { Validation } from '../runtime/validate/validation.js';
import { freshFolder } from './fixtures.js';

/** The report on two model files; `change` makes of the comparison what the report is to be of. */
export async function reportOn(
  a: string,
  b: string,
  change: (found: ModelDiff) => ModelDiff = (found) => found,
): Promise<string> {
  const [before, after] = [await openModel(a), await openModel(b)];
  try {
    return await diffReport(change(await diff(before, after)), before.graph, after.graph);
  } finally {
    await Promise.all([before.close(), after.close()]);
  }
}

/** One node of a model that is a chain. */
export interface Link {
  readonly op: string;
  readonly name: string;
}

/** Writes a model whose nodes stand one behind the other, each called as what it makes. Answers with its path. */
export function writeChain(file: string, links: readonly Link[]): string {
  const float = (name: string) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 1 }] } } },
  });
  const node = links.map(({ op, name }, i) => ({
    opType: op,
    name,
    input: [i === 0 ? 'x' : links[i - 1]!.name],
    output: [name],
  }));
  const graph = { name: 'chain', node, input: [float('x')], output: [float(links.at(-1)!.name)] };
  const path = join(freshFolder(), file);
  writeFileSync(
    path,
    onnx.ModelProto.encode({ irVersion: 8, opsetImport: [{ version: 17 }], graph }).finish(),
  );
  return path;
}

/** A validation in which the second of the given cross-attentions fails, and one check cannot be made. */
export function failedValidation(
  attentions: readonly { readonly id: number; readonly scope: string }[],
): Validation {
  return {
    passed: false,
    provider: 'cpu',
    engine: { name: '@tensorflow/tfjs', version: '4.22.0', backend: 'wasm' },
    checks: [
      {
        name: 'the edits undone, the base',
        passed: true,
        difference: null,
        detail: 'the fingerprint is the base’s',
      },
      {
        name: 'the adapter off, the base’s numbers',
        passed: null,
        difference: null,
        detail: 'the scale is baked in',
      },
      { name: 'every cross-attention, recomputed', passed: false, difference: 0.13, detail: 'one differs' },
    ],
    sites: attentions.map(({ id, scope }, n) => ({
      scope,
      id,
      passed: n !== 1,
      difference: n === 1 ? 0.13 : n * 1e-7,
      relative: n === 1 ? 0.04 : n * 3e-8,
      limit: 1e-5,
      diagnosis: n === 1 ? 'K′ and V′ are swapped' : null,
    })),
    warnings: ['a caller that brings 77 text tokens alone loses the last 4 of them'],
  };
}

/** An adapter as its authors publish it for SDXL, of zeros that nobody reads. */
export function sdxlAdapter(): ByteSource {
  const widths = [4, 20, 30, 6, 10].flatMap((count, i) =>
    new Array<number>(count).fill([640, 1280, 1280, 640, 1280][i]!),
  );
  const shapes: [string, number[]][] = [
    ['image_proj.proj.weight', [8192, 1280]],
    ['image_proj.proj.bias', [8192]],
    ['image_proj.norm.weight', [2048]],
    ['image_proj.norm.bias', [2048]],
    ...widths.flatMap((width, n) =>
      ['k', 'v'].map((which): [string, number[]] => [
        `ip_adapter.${2 * n + 1}.to_${which}_ip.weight`,
        [width, 2048],
      ]),
    ),
  ];
  let end = 0;
  const entries = shapes.map(([name, shape]) => {
    const begin = end;
    end += 2 * shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: 'F16', shape, data_offsets: [begin, end] }];
  });
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const head = new Uint8Array(8 + json.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(json.length), true);
  head.set(json, 8);
  return rangeSource('ip-adapter_sdxl.safetensors', head.length + end, async (offset, length) => {
    const bytes = new Uint8Array(length);
    bytes.set(head.subarray(offset, offset + length));
    return bytes;
  });
}

/** Every edit as a change: a comparison whose weights are nowhere. */
export function byEdits(before: Graph, after: Graph): ModelDiff {
  const side = (file: string, { irVersion, opset, nodes }: Graph) => ({
    file,
    bytes: 0,
    irVersion,
    opset,
    nodes: nodes.length,
  });
  const none = Object.fromEntries(['unchanged', ...KINDS].map((kind) => [kind, 0]));
  return {
    a: side('model.onnx', before),
    b: side('patched.onnx', after),
    counts: Object.fromEntries(SUBJECTS.map((subject) => [subject, none])) as ModelDiff['counts'],
    changes: editsBetween(before, after).entries.map((entry) => {
      if (entry.kind === 'rewire') {
        const { node, input, from, to } = entry;
        const { label } = after.producer(node)!;
        return {
          subject: 'node',
          a: node,
          b: node,
          label,
          scope: '',
          aspects: [{ kind: 'rewired', input, from, to }],
        };
      }
      const name =
        'value' in entry
          ? entry.value
          : 'name' in entry
            ? entry.name
            : 'key' in entry
              ? entry.key
              : entry.input;
      const subject =
        entry.kind === 'insert-node'
          ? 'node'
          : entry.kind === 'insert-initializer'
            ? 'initializer'
            : 'metadata';
      const label = after.producer(name)?.label ?? name;
      return { subject, a: null, b: name, label, scope: '', aspects: [{ kind: 'added' }] };
    }),
    proof: null,
  };
}
