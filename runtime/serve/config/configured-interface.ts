import type { ModelInterface } from '../backend.js';
import type { TensorMetadata } from '../tensor.js';
import { configFault } from './config-fault.js';
import type { ConfigTensor, ModelConfig } from './model-config.js';

/**
 * What a model takes and gives, as its configuration narrows it: fixed sizes where the model's are free, fewer outputs.
 * @throws IpgraftError `SERVER_CONFIG` where they contradict each other: names, datatypes, ranks, sizes, a batch dimension that is none
 */
export function configuredInterface(
  { inputs, outputs }: ModelInterface,
  config: ModelConfig,
  model: string,
): ModelInterface {
  const isBatched = config.maxBatchSize > 0;
  if (isBatched)
    for (const tensor of [...inputs, ...outputs])
      refuseUnbatched(tensor, model, 'anyShape' in tensor && tensor.anyShape === true);
  if (config.inputs.length > 0)
    for (const { name, optional } of inputs)
      if (!optional && !config.inputs.some((each) => each.name === name))
        throw configFault(model, `input: sought every input of the model, “${name}” is missing`);
  const narrowed = config.inputs.map((written) => {
    const input = find(inputs, written, 'input', model);
    if (written.optional && !input.optional)
      throw configFault(model, `input “${written.name}”: the model has no default of it: it is not optional`);
    const shape = shapeOf(written, input, isBatched);
    if (input.anyShape) return { ...input, shape, anyShape: false };
    if (fits(shape, input.shape, (sought, found) => sought === -1 || sought === found))
      return { ...input, shape };
    throw contradiction('input', written, shape, input, model);
  });
  const chosen = config.outputs.map((written) => {
    const output = find(outputs, written, 'output', model);
    const shape = shapeOf(written, output, isBatched);
    if (fits(shape, output.shape, (sought, found) => sought === found)) return output;
    throw contradiction('output', written, shape, output, model);
  });
  return {
    // Those that it leaves out have defaults.
    inputs: inputs.map((input) => narrowed.find(({ name }) => name === input.name) ?? input),
    outputs: chosen.length > 0 ? chosen : outputs,
  };
}

function refuseUnbatched({ name, shape }: TensorMetadata, model: string, anyShape: boolean): void {
  if (anyShape || shape[0] === -1) return;
  throw configFault(
    model,
    `max_batch_size: sought a free first dimension in every tensor of the model, “${name}” is [${shape.join(', ')}]: 0 serves it`,
  );
}

function find<T extends TensorMetadata>(
  tensors: readonly T[],
  { name, datatype }: ConfigTensor,
  kind: 'input' | 'output',
  model: string,
): T {
  const found = tensors.find((each) => each.name === name);
  if (found === undefined)
    throw configFault(
      model,
      `${kind} “${name}”: sought one of ${tensors.map((each) => each.name).join(', ')}`,
    );
  if (found.datatype === datatype) return found;
  throw configFault(model, `${kind} “${name}”: the model has ${found.datatype}, it says ${datatype}`);
}

/** Triton's configurations have no empty shapes: `[1]` is a scalar too, and with a reshape the scalar of each row. */
function shapeOf(
  { dims, isRowScalar }: ConfigTensor,
  { shape }: TensorMetadata,
  isBatched: boolean,
): readonly number[] {
  if (isBatched) return isRowScalar ? [-1] : [-1, ...dims];
  return shape.length === 0 && dims.length === 1 && dims[0] === 1 ? [] : dims;
}

function fits(
  shape: readonly number[],
  ofModel: readonly number[],
  isFitting: (ofModel: number, written: number) => boolean,
): boolean {
  return shape.length === ofModel.length && ofModel.every((size, axis) => isFitting(size, shape[axis]!));
}

function contradiction(
  kind: 'input' | 'output',
  { name }: ConfigTensor,
  shape: readonly number[],
  tensor: TensorMetadata,
  model: string,
) {
  return configFault(
    model,
    `${kind} “${name}”: the model has [${tensor.shape.join(', ')}], it says [${shape.join(', ')}]`,
  );
}
