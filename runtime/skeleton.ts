import { bufferSource } from '../compiler/io/byte-source.js';
import type { NewInput } from '../compiler/onnx/create.js';
import { DATA_TYPE } from '../compiler/onnx/data-type.js';
import { onnx } from '../compiler/onnx/proto.js';
import { type Model, readModel } from '../compiler/onnx/read-model.js';
import { writeModel } from '../compiler/onnx/write-model.js';
import type { Pass } from '../compiler/pass.js';
import { runPasses } from '../compiler/run-passes.js';
import type { Rope } from '../compiler/wire/rope.js';
import { VERSION } from './version.js';

/** In which versions a model is written. */
export interface Versions {
  readonly irVersion: number;
  /** Of ai.onnx. */
  readonly opset: number;
}

/** Who made a model, as its file says it. */
export const PRODUCER = 'ipgraft';

/** What every runtime of the last years reads: IR 8 and opset 17, which brought LayerNormalization. */
const WIDELY_READ: Versions = { irVersion: 8, opset: 17 };

/**
 * A new model that a pass fills: a graph of one empty step from its first input to its output, into which the pass puts what it puts into
 * a UNet elsewhere.
 */
export async function fillSkeleton(
  name: string,
  inputs: readonly [NewInput, ...NewInput[]],
  output: NewInput,
  pass: Pass,
  versions = WIDELY_READ,
): Promise<Rope> {
  const model = await skeleton(name, inputs, output, versions);
  const { graph } = runPasses(model, [pass]);
  return writeModel(model, graph);
}

function skeleton(
  name: string,
  inputs: readonly [NewInput, ...NewInput[]],
  output: NewInput,
  { irVersion, opset }: Versions,
): Promise<Model> {
  const describe = ({ name, dataType, shape }: NewInput) => ({
    name,
    type: {
      tensorType: {
        elemType: DATA_TYPE[dataType],
        shape: {
          dim: shape.map((size) =>
            typeof size === 'number' ? { dimValue: size } : { dimParam: String(size) },
          ),
        },
      },
    },
  });
  const bytes = onnx.ModelProto.encode({
    irVersion,
    opsetImport: [{ domain: '', version: opset }],
    producerName: PRODUCER,
    producerVersion: VERSION,
    graph: {
      name,
      node: [{ opType: 'Identity', name: output.name, input: [inputs[0].name], output: [output.name] }],
      input: inputs.map(describe),
      output: [describe(output)],
    },
  }).finish();
  return readModel(bufferSource(bytes, name));
}
