import type { ServedInput } from './backend.js';
import { DATATYPE_SIZE, type Tensor, type TensorMetadata } from './tensor.js';
import { unfit } from './unfit.js';

/**
 * Holds the tensors of a request against what the model takes: names, element types, ranks, fixed sizes, and lengths. A scalar may
 * come as [1] and leaves as []: exports of optimum have a timestep of rank 0, which most protocols cannot write.
 * @throws IpgraftError `SERVER_INPUT` that names the tensor, what was sought and what was found
 */
export function fitInputs(tensors: readonly Tensor[], declared: readonly ServedInput[]): Tensor[] {
  const byName = new Map(declared.map((input) => [input.name, input]));
  const given = new Set<string>();
  const fitted = tensors.map((tensor) => {
    const input = byName.get(tensor.name);
    if (input === undefined) throw unfit(tensor.name, `one of ${list([...byName.keys()])}`, 'another name');
    if (given.has(tensor.name)) throw unfit(tensor.name, 'one tensor', 'two');
    given.add(tensor.name);
    return fitOne(tensor, input);
  });
  const missing = declared.find(({ name, optional }) => !optional && !given.has(name));
  if (missing !== undefined) throw unfit(missing.name, typeOf(missing), 'nothing');
  return fitted;
}

/**
 * The outputs to compute: those asked for, or all.
 * @throws IpgraftError `SERVER_INPUT` for one that the model does not have, or that is asked for twice
 */
export function fitOutputs(asked: readonly string[], declared: readonly TensorMetadata[]): readonly string[] {
  const names = declared.map(({ name }) => name);
  if (asked.length === 0) return names;
  asked.forEach((name, index) => {
    const wrong = !names.includes(name)
      ? 'another name'
      : asked.indexOf(name) !== index
        ? 'it twice'
        : undefined;
    if (wrong !== undefined) throw unfit(name, `one of ${list(names)}`, wrong, 'output');
  });
  return asked;
}

function fitOne(tensor: Tensor, input: ServedInput): Tensor {
  const { name, datatype, data } = tensor;
  if (datatype !== input.datatype) throw unfit(name, typeOf(input), typeOf(tensor));
  const shape =
    !input.anyShape && input.shape.length === 0 && tensor.shape.length === 1 && tensor.shape[0] === 1
      ? []
      : tensor.shape;
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw unfit(name, 'whole sizes from 0', typeOf(tensor));
  const fits =
    input.anyShape ||
    (shape.length === input.shape.length &&
      input.shape.every((size, axis) => size === -1 || size === shape[axis]));
  if (!fits) throw unfit(name, typeOf(input), typeOf(tensor));
  // A product that is not exact is too long for any buffer, and must not pass for another number.
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count)) throw unfit(name, 'fewer elements', typeOf(tensor));
  const size = DATATYPE_SIZE[datatype];
  if (size !== null && count * size !== data.byteLength)
    throw unfit(name, `${count * size} bytes for ${typeOf(tensor)}`, `${data.byteLength} bytes`);
  return shape === tensor.shape ? tensor : { ...tensor, shape };
}

/** `FP32 [-1, 4, 64, 64]` */
function typeOf({ datatype, shape, anyShape }: TensorMetadata & { readonly anyShape?: boolean }): string {
  return `${datatype} ${anyShape ? 'of any shape' : `[${shape.join(', ')}]`}`;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
