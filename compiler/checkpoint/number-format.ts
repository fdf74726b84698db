import { getFloat16, setFloat16 } from '@petamoriken/float16';
import { IpgraftError } from '../errors.js';
import { FLOAT_SIZE, type FloatType } from '../onnx/data-type.js';
import type { CheckpointDtype } from './checkpoint.js';

/** float16 bits → float32, for all 65,536 of them: a look-up beats arithmetic by far. */
let halfTable: Float32Array | undefined;

function halves(): Float32Array {
  if (halfTable === undefined) {
    halfTable = new Float32Array(65536);
    const view = new DataView(new ArrayBuffer(2));
    for (let bits = 0; bits < 65536; bits++) {
      view.setUint16(0, bits);
      halfTable[bits] = getFloat16(view, 0);
    }
  }
  return halfTable;
}

const FLOAT_OF: Readonly<Partial<Record<CheckpointDtype, FloatType>>> = {
  F32: 'float',
  F16: 'float16',
  BF16: 'bfloat16',
};

/** The floating type of a checkpoint's tensor. @throws IpgraftError `ADAPTER_TENSOR_UNSUPPORTED` */
export function floatTypeOf(dtype: CheckpointDtype, name: string): FloatType {
  const type = FLOAT_OF[dtype];
  if (type !== undefined) return type;
  throw new IpgraftError('ADAPTER_TENSOR_UNSUPPORTED', `${name}: sought F32, F16 or BF16, found ${dtype}`, {
    tensor: name,
    found: dtype,
  });
}

/** Little-endian bytes of a floating type as float32 numbers; exact. */
export function decodeFloats(bytes: Uint8Array, type: FloatType): Float32Array {
  // A typed array must begin at a multiple of its element size; Buffer's own slice would not copy.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  if (type === 'float') return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  const bits = new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
  const values = new Float32Array(bits.length);
  if (type === 'float16') {
    const table = halves();
    for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  } else {
    const high = new Uint32Array(values.buffer);
    for (let i = 0; i < bits.length; i++) high[i] = bits[i]! << 16;
  }
  return values;
}

/** float32 numbers as little-endian bytes of a floating type, rounded to nearest, ties to even. */
export function encodeFloats(values: Float32Array, type: FloatType): Uint8Array {
  if (type === 'float') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bytes = new Uint8Array(values.length * FLOAT_SIZE[type]);
  const view = new DataView(bytes.buffer);
  if (type === 'float16') {
    for (let i = 0; i < values.length; i++) setFloat16(view, i * 2, values[i]!, true);
    return bytes;
  }
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < values.length; i++) view.setUint16(i * 2, roundToBfloat16(bits[i]!), true);
  return bytes;
}

function roundToBfloat16(bits: number): number {
  const isNan = (bits & 0x7fffffff) > 0x7f800000;
  if (isNan) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
