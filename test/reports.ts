import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelDiff } from '../compiler/diff/model-diff.js';
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
