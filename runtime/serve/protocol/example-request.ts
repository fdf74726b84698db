import { DATATYPE_SIZE, type Datatype, isBinaryOnly } from '../tensor.js';

/** An input as far as an example needs it. */
export interface ExampleInput {
  readonly name: string;
  readonly datatype: Datatype;
  /** With a number for each dimension. */
  readonly shape: readonly number[];
}

/** An infer request that a model answers: JSON, and the number of bytes behind it, all 0. */
export interface ExampleRequest {
  readonly json: {
    readonly inputs: readonly (ExampleInput & {
      readonly data?: readonly (number | boolean | string)[];
      readonly parameters?: { readonly binary_data_size: number };
    })[];
    readonly outputs: readonly {
      readonly name: string;
      readonly parameters: { readonly binary_data: boolean };
    }[];
  };
  readonly tail: number;
}

/** More elements than this are no good to read. */
const MOST_IN_JSON = 16;

/**
 * A request with zeros, false and the string “text” for all elements: as JSON what is short and has a form there, as bytes the rest. Outputs
 * come as JSON only where everything goes so.
 */
export function exampleRequest(
  inputs: readonly ExampleInput[],
  outputs: readonly { readonly name: string; readonly datatype: Datatype }[],
): ExampleRequest {
  let tail = 0;
  const described = inputs.map(({ name, datatype, shape }) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const element = DATATYPE_SIZE[datatype];
    if (element === null || (count <= MOST_IN_JSON && !isBinaryOnly(datatype)))
      return { name, datatype, shape, data: new Array(count).fill(ELEMENT[datatype] ?? 0) };
    const size = count * element;
    tail += size;
    return { name, datatype, shape, parameters: { binary_data_size: size } };
  });
  const isBinary = tail > 0 || outputs.some(({ datatype }) => isBinaryOnly(datatype));
  return {
    json: {
      inputs: described,
      outputs: outputs.map(({ name }) => ({ name, parameters: { binary_data: isBinary } })),
    },
    tail,
  };
}

const ELEMENT: Partial<Record<Datatype, string | boolean>> = { BYTES: 'text', BOOL: false };

/**
 * A size for a free dimension of which only the name is known, such as a UNet can do with: exports of diffusers call them `batch_size`,
 * `num_channels`, `height`, `width` and `sequence_length`, or nearly so.
 */
export function exampleSize(symbol: string | null): number {
  if (/height|width/i.test(symbol ?? '')) return 64;
  if (/channel/i.test(symbol ?? '')) return 4;
  return /seq|token/i.test(symbol ?? '') ? 77 : 1;
}
