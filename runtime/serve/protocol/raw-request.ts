import type { ModelInterface } from '../backend.js';
import { DATATYPE_SIZE, type Tensor } from '../tensor.js';
import { checkBinaryData } from './binary-data.js';
import { refusal } from './refuse.js';
import { named } from './shape.js';

/**
 * The one input of a raw binary request, whose body is the tensor alone: its shape is the model's, the free dimension what the bytes make it. The
 * body of a BYTES input is its one element, without a length before it.
 * @throws IpgraftError `SERVER_REQUEST` for models with other than one input that must be given, or with several free dimensions, and for
 *   bytes that do not fill the shape
 */
export function rawInput(body: Uint8Array, inputs: ModelInterface['inputs']): Tensor {
  const required = inputs.filter(({ optional }) => !optional);
  const [input] = required;
  if (input === undefined || required.length > 1)
    throw refusal(
      `a raw binary request is for a model with one input: sought Inference-Header-Content-Length above 0 for ${required.length} inputs`,
    );
  const { name, datatype } = input;
  const size = DATATYPE_SIZE[datatype];
  if (size === null) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    return { name, datatype, shape: input.shape.map(() => 1), data: Buffer.concat([length, body]) };
  }
  const free = input.shape.filter((dimension) => dimension < 0).length;
  if (free > 1)
    throw refusal(
      `${named('input', input)}: a raw binary request has no shape: sought one free dimension, found ${free}`,
    );
  const fixed = input.shape.reduce(
    (product, dimension) => (dimension < 0 ? product : product * dimension),
    size,
  );
  const rest = fixed === 0 ? 0 : body.length / fixed;
  const shape = input.shape.map((dimension) => (dimension < 0 ? Math.floor(rest) : dimension));
  const tensor = { name, datatype, shape, data: body };
  if (free === 1 && !Number.isInteger(rest))
    throw refusal(`${named('input', input)}: sought a multiple of ${fixed} bytes, found ${body.length}`);
  checkBinaryData(tensor, body);
  return tensor;
}
