import { IpgraftError } from '../errors.js';
import type { FloatType } from '../onnx/data-type.js';
import type { CheckpointDtype } from './checkpoint.js';

/** float16 bits → float32, for all 65,536 of them: a look-up beats arithmetic by far. */
let halfTable: Float32Array | undefined;

function halves(): Float32Array {
  if (halfTable === undefined) {
    halfTable = new Float32Array(65536);
    const bits = new Uint32Array(halfTable.buffer);
    for (let half = 0; half < 0x8000; half++) {
      const [exponent, mantissa] = [half >>> 10, half & 0x3ff];
      // The exponents' biases, 127 and 15, are 112 apart; 31 stands for infinity and NaN, as 255 does.
      if (exponent === 0) halfTable[half] = mantissa * 2 ** -24;
      else bits[half] = ((exponent === 31 ? 255 : exponent + 112) << 23) | (mantissa << 13);
      bits[half | 0x8000] = bits[half]! | 0x80000000;
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

/** Little-endian bytes of a floating type as float32 numbers; exact. Halves are decoded into `room`, where it is given and large enough. */
export function decodeFloats(bytes: Uint8Array, type: FloatType, room?: Float32Array): Float32Array {
  // A typed array must begin at a multiple of its element size; Buffer's own slice would not copy.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  if (type === 'float') return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  const bits = new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
  const values =
    room !== undefined && room.length >= bits.length
      ? room.subarray(0, bits.length)
      : new Float32Array(bits.length);
  if (type === 'float16') {
    const table = halves();
    for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  } else {
    const high = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let i = 0; i < bits.length; i++) high[i] = bits[i]! << 16;
  }
  return values;
}

/** float32 numbers as little-endian bytes of a floating type, rounded to nearest, ties to even. */
export function encodeFloats(values: Float32Array, type: FloatType): Uint8Array {
  if (type === 'float') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  // Two loops, not one that calls a chosen function: weights have millions of numbers.
  if (type === 'float16') for (let i = 0; i < bits.length; i++) halves[i] = roundToFloat16(bits[i]!);
  else for (let i = 0; i < bits.length; i++) halves[i] = roundToBfloat16(bits[i]!);
  return new Uint8Array(halves.buffer);
}

const INFINITY_BITS = 0x7f800000;
/** 65520, half-way between the largest float16 and what would come next: from here on it is infinite. */
const FLOAT16_OVERFLOW = 0x477ff000;
/** 2⁻¹⁴, the smallest number that float16 holds with all its digits. */
const FLOAT16_NORMAL = 0x38800000;

/** IEEE 754: to nearest, ties to even; NaN stays one. */
function roundToFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY_BITS) return sign | 0x7e00;
  if (magnitude >= FLOAT16_OVERFLOW) return sign | 0x7c00;
  // The exponents' biases, 127 and 15, are 112 apart.
  if (magnitude >= FLOAT16_NORMAL)
    return sign | ((magnitude - (112 << 23) + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

function roundToBfloat16(bits: number): number {
  const isNan = (bits & 0x7fffffff) > INFINITY_BITS;
  if (isNan) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
