import { DATATYPE_SIZE, type TensorMetadata } from '../tensor.js';
import { refusal } from './refuse.js';
import { elementCount, named } from './shape.js';

/**
 * Whether bytes are an input's elements in binary form.
 * @throws IpgraftError `SERVER_REQUEST` for another number of bytes than the shape has, a length of a BYTES element that leads past the end, and a
 *   BOOL that is neither 0 nor 1
 */
export function checkBinaryData(input: TensorMetadata, bytes: Uint8Array): void {
  const count = elementCount(input);
  const size = DATATYPE_SIZE[input.datatype];
  if (size === null) checkStrings(input, bytes, count);
  else if (bytes.length !== count * size)
    throw refusal(`${named('input', input)}: sought ${count * size} bytes, found ${bytes.length}`);
  else if (input.datatype === 'BOOL' && bytes.some((byte) => byte > 1))
    throw refusal(`${named('input', input)}: sought bytes 0 and 1, found ${bytes.find((byte) => byte > 1)}`);
}

function checkStrings(input: TensorMetadata, bytes: Uint8Array, count: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let found = 0;
  for (let at = 0; at < bytes.length; found++) {
    const left = bytes.length - at - 4;
    if (left < 0)
      throw refusal(
        `${named('input', input)}: element ${found}: sought 4 bytes of length, found ${left + 4}`,
      );
    const length = view.getUint32(at, true);
    if (length > left)
      throw refusal(`${named('input', input)}: element ${found}: sought ${length} bytes, found ${left}`);
    at += 4 + length;
  }
  if (found !== count) throw refusal(`${named('input', input)}: sought ${count} elements, found ${found}`);
}
