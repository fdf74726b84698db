import { DATATYPE_SIZE, type TensorMetadata } from '../tensor.js';
import { quoted, refusal } from './refuse.js';

/** `input “sample” (FP32 [2, 4, 64, 64])`: a tensor as errors name it. */
export function named(what: 'input' | 'output', { name, datatype, shape }: TensorMetadata): string {
  return `${what} ${quoted(name)} (${datatype} [${shape.slice(0, 16).join(', ')}${shape.length > 16 ? ', …' : ''}])`;
}

/**
 * The number of elements of an input's shape.
 * @throws IpgraftError `SERVER_REQUEST` for a dimension that is no whole number from 0 on, and where the number of bytes is past what can be
 *   counted exactly
 */
export function elementCount(input: TensorMetadata): number {
  const element = DATATYPE_SIZE[input.datatype] ?? 4;
  let count = 1;
  for (const dimension of input.shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0)
      throw refusal(`${named('input', input)}: sought dimensions from 0 on, found ${dimension}`);
    count *= dimension;
    if (!Number.isSafeInteger(count * element))
      throw refusal(`${named('input', input)}: the byte size of this shape overflows`);
  }
  return count;
}
