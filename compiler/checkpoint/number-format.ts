import { IpgraftError } from '../errors.js';
import type { FloatType } from '../onnx/data-type.js';
import type { CheckpointDtype } from './checkpoint.js';

/** A floating type of two bytes. */
export type HalfType = Exclude<FloatType, 'float'>;

const halfTables = new Map<HalfType, Float32Array>();

/** The float32 numbers of all 65,536 patterns of two bytes: a look-up beats arithmetic by far. */
export function numbersOfHalves(type: HalfType): Float32Array {
  let table = halfTables.get(type);
  if (table === undefined) {
    table = new Float32Array(65536);
    const bits = new Uint32Array(table.buffer);
    if (type === 'float16') fillFloat16(table, bits);
    else for (let half = 0; half < 65536; half++) bits[half] = half << 16;
    halfTables.set(type, table);
  }
  return table;
}

/** `numbers` and `bits` are one memory. */
function fillFloat16(numbers: Float32Array, bits: Uint32Array): void {
  for (let half = 0; half < 0x8000; half++) {
    const [exponent, mantissa] = [half >>> 10, half & 0x3ff];
    // The exponents' biases, 127 and 15, are 112 apart; 31 stands for infinity and NaN, as 255 does.
    if (exponent === 0) numbers[half] = mantissa * 2 ** -24;
    else bits[half] = ((exponent === 31 ? 255 : exponent + 112) << 23) | (mantissa << 13);
    bits[half | 0x8000] = bits[half]! | 0x80000000;
  }
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

/** The bytes where a typed array of two or four bytes an element may begin: at a multiple of it. Buffer's own slice would not copy. */
export function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
}

/** Little-endian bytes of a floating type as float32 numbers; exact. */
export function decodeFloats(bytes: Uint8Array, type: FloatType): Float32Array {
  const { buffer, byteOffset, length } = aligned(bytes);
  if (type === 'float') return new Float32Array(buffer, byteOffset, length / 4);
  const halves = new Uint16Array(buffer, byteOffset, length / 2);
  const numbers = new Float32Array(halves.length);
  const table = numbersOfHalves(type);
  for (let i = 0; i < halves.length; i++) numbers[i] = table[halves[i]!]!;
  return numbers;
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
