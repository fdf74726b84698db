import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onnx } from '../../compiler/onnx/proto.js';
import { ipgraft, type Outcome } from '../command.js';
import { freshFolder } from '../fixtures.js';
import { unpackPipeline } from '../pipeline/unpacked.js';

/** What the adapter of fixtures/pipeline reads: one pooled embedding. */
export const EMBEDDING = 20;

/** A pipeline, an adapter for it, and a place for what is made of them. */
export interface Case {
  readonly base: string;
  readonly adapter: string;
  readonly out: string;
  /** Runs `ipgraft adapt BASE -a ADAPTER -o OUT` with more arguments. */
  adapt(...more: string[]): Promise<Outcome>;
}

/** A fresh case from fixtures/pipeline. */
export function pipelineCase(): Case {
  const folder = unpackPipeline();
  const base = join(folder, 'onnx');
  const adapter = join(folder, 'adapter.safetensors');
  const out = join(freshFolder(), 'adapted');
  return {
    base,
    adapter,
    out,
    adapt: (...more) => ipgraft('adapt', base, '-a', adapter, '-o', out, ...more),
  };
}

/** Writes the folder of an image encoder with these outputs, by name and width; its numbers are none that an encoder would give. */
export function writeEncoder(
  folder: string,
  outputs: Readonly<Record<string, number>>,
  config?: object,
): void {
  const float = (name: string, ...dims: (number | string)[]) => ({
    name,
    type: {
      tensorType: {
        elemType: 1,
        shape: {
          dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })),
        },
      },
    },
  });
  const node = Object.keys(outputs).map((output) => ({
    opType: 'Identity',
    name: output,
    input: ['pixel_values'],
    output: [output],
  }));
  const graph = {
    name: 'encoder',
    node,
    input: [float('pixel_values', 'batch', 3, 'height', 'width')],
    output: Object.entries(outputs).map(([name, width]) => float(name, 'batch', width)),
  };
  mkdirSync(folder, { recursive: true });
  const model = onnx.ModelProto.encode({ irVersion: 8, opsetImport: [{ version: 17 }], graph });
  writeFileSync(join(folder, 'model.onnx'), model.finish());
  if (config !== undefined) writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}
