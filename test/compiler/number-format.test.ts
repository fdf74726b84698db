import assert from 'node:assert/strict';
import { getFloat16, setFloat16 } from '@petamoriken/float16';
import fc from 'fast-check';
import type { CheckpointDtype } from '../../compiler/checkpoint/checkpoint.js';
import { decodeFloats, encodeFloats, floatTypeOf } from '../../compiler/checkpoint/number-format.js';
import type { FloatType } from '../../compiler/onnx/data-type.js';
import { refusal } from '../refusal.js';

function bitsOf(value: number, type: 'float16' | 'bfloat16'): number {
  const bytes = encodeFloats(Float32Array.of(value), type);
  return bytes[0]! | (bytes[1]! << 8);
}

function numberOf(bits: number, type: 'float16' | 'bfloat16'): number {
  return decodeFloats(Uint8Array.of(bits & 0xff, bits >>> 8), type)[0]!;
}

describe('float16', () => {
  it('all of them, as a library reads them', () => {
    const view = new DataView(new ArrayBuffer(2));
    for (let bits = 0; bits < 0x10000; bits++) {
      view.setUint16(0, bits);
      assert.ok(Object.is(numberOf(bits, 'float16'), getFloat16(view, 0)), `0x${bits.toString(16)}`);
    }
  });

  for (const [value, bits] of [
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [Number.POSITIVE_INFINITY, 0x7c00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [1023 * 2 ** -24, 0x03ff],
  ] as const) {
    it(`${Object.is(value, -0) ? '-0' : value} is 0x${bits.toString(16)}, both ways`, () => {
      assert.equal(bitsOf(value, 'float16'), bits);
      assert.ok(Object.is(numberOf(bits, 'float16'), value));
    });
  }

  for (const [title, value, bits] of [
    ['a tie goes down to the even number', 1 + 2 ** -11, 0x3c00],
    ['a tie goes up to the even number', 1 + 3 * 2 ** -11, 0x3c02],
    ['above a tie goes up', 1 + 2 ** -11 + 2 ** -20, 0x3c01],
    ['a tie between subnormals goes to the even one', 1.5 * 2 ** -24, 0x0002],
    ['half of the smallest subnormal is a tie with zero', 2 ** -25, 0x0000],
    ['just above it is the smallest subnormal', 2 ** -25 * 1.001, 0x0001],
    ['the last number below the tie with infinity stays finite', 65519, 0x7bff],
    ['the tie with infinity is infinite', 65520, 0x7c00],
    ['what float16 cannot reach is infinite', 1e30, 0x7c00],
  ] as const) {
    it(title, () => {
      assert.equal(bitsOf(value, 'float16'), bits);
    });
  }

  it('every number of the type survives a round trip', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter(
      (bits) => (bits & 0x7fff) <= 0x7c00,
    );
    const bytes = new Uint8Array(all.buffer);
    assert.deepEqual(encodeFloats(decodeFloats(bytes, 'float16'), 'float16'), bytes);
  });

  it('every number, every middle between two, and what lies beside them is rounded as another implementation rounds', () => {
    const numbers: number[] = [];
    for (let bits = 0; bits < 0x7c00; bits++) {
      const [low, high] = [numberOf(bits, 'float16'), numberOf(bits + 1, 'float16')];
      const middle = Number.isFinite(high) ? (low + high) / 2 : 65520;
      for (const value of [low, middle]) {
        const [exact] = new Uint32Array(Float32Array.of(value).buffer);
        const beside = new Float32Array(Uint32Array.of(Math.max(exact! - 1, 0), exact!, exact! + 1).buffer);
        numbers.push(...beside, ...beside.map((each) => -each));
      }
    }
    const values = Float32Array.from(numbers);
    const expected = new Uint8Array(values.length * 2);
    const view = new DataView(expected.buffer);
    values.forEach((value, i) => {
      setFloat16(view, i * 2, value, true);
    });
    assert.ok(Buffer.from(encodeFloats(values, 'float16')).equals(expected));
  });
});

describe('bfloat16', () => {
  for (const [value, bits] of [
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3f80],
    [-2, 0xc000],
    [2 ** 127 * (2 - 2 ** -7), 0x7f7f],
    [Number.POSITIVE_INFINITY, 0x7f80],
    [Number.NEGATIVE_INFINITY, 0xff80],
    [2 ** -126, 0x0080],
    [2 ** -133, 0x0001],
  ] as const) {
    it(`${Object.is(value, -0) ? '-0' : value} is 0x${bits.toString(16)}, both ways`, () => {
      assert.equal(bitsOf(value, 'bfloat16'), bits);
      assert.ok(Object.is(numberOf(bits, 'bfloat16'), value));
    });
  }

  for (const [title, value, bits] of [
    ['a tie goes down to the even number', 1 + 2 ** -8, 0x3f80],
    ['a tie goes up to the even number', 1 + 3 * 2 ** -8, 0x3f82],
    ['above a tie goes up', 1 + 2 ** -8 + 2 ** -20, 0x3f81],
    ['a negative tie goes to the even number too', -(1 + 3 * 2 ** -8), 0xbf82],
    ['rounding carries into the exponent', 2 - 2 ** -9, 0x4000],
    ['the largest float32 is infinite', 3.4028234663852886e38, 0x7f80],
  ] as const) {
    it(title, () => {
      assert.equal(bitsOf(value, 'bfloat16'), bits);
    });
  }

  it('every number of the type survives a round trip', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter(
      (bits) => (bits & 0x7fff) <= 0x7f80,
    );
    const bytes = new Uint8Array(all.buffer);
    assert.deepEqual(encodeFloats(decodeFloats(bytes, 'bfloat16'), 'bfloat16'), bytes);
  });
});

describe('number formats', () => {
  for (const type of ['float16', 'bfloat16'] as const) {
    it(`NaN stays NaN in ${type}, whatever its payload`, () => {
      const nans = new Float32Array(new Uint32Array([0x7f800001, 0x7fc00000, 0xff800001, 0xffffffff]).buffer);
      assert.ok(decodeFloats(encodeFloats(nans, type), type).every(Number.isNaN));
    });

    it(`${type} rounds to a nearest number`, () => {
      const precision = type === 'float16' ? 2 ** -11 : 2 ** -8;
      const value = fc.float({ min: Math.fround(1e-3), max: 60000, noNaN: true });
      fc.assert(
        fc.property(value, (each) => {
          const [rounded] = decodeFloats(encodeFloats(Float32Array.of(each), type), type);
          assert.ok(Math.abs(rounded! - each) <= each * precision);
        }),
      );
    });

    it(`${type} keeps order and sign`, () => {
      fc.assert(
        fc.property(fc.float({ noNaN: true }), fc.float({ noNaN: true }), (a, b) => {
          const [x, y] = decodeFloats(
            encodeFloats(Float32Array.of(Math.min(a, b), Math.max(a, b)), type),
            type,
          );
          assert.ok(x! <= y!);
        }),
      );
    });
  }

  it('float32 is kept bit for bit', () => {
    fc.assert(
      fc.property(fc.float32Array(), (values) => {
        assert.deepEqual(decodeFloats(encodeFloats(values, 'float'), 'float'), values);
      }),
    );
  });

  for (const type of ['float', 'float16', 'bfloat16'] as const satisfies readonly FloatType[]) {
    for (const [title, from] of [
      ['a Uint8Array', (bytes: Uint8Array) => bytes],
      ['a Buffer', (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)],
    ] as const) {
      it(`${type} is read from any place of ${title}`, () => {
        const encoded = encodeFloats(Float32Array.of(1, -2, 0.5), type);
        for (let offset = 0; offset < 4; offset++) {
          const room = new Uint8Array(offset + encoded.length);
          room.set(encoded, offset);
          assert.deepEqual(decodeFloats(from(room.subarray(offset)), type), Float32Array.of(1, -2, 0.5));
        }
      });
    }
  }

  for (const [dtype, type] of [
    ['F32', 'float'],
    ['F16', 'float16'],
    ['BF16', 'bfloat16'],
  ] as const) {
    it(`${dtype} is ${type}`, () => {
      assert.equal(floatTypeOf(dtype, 'w'), type);
    });
  }

  for (const dtype of [
    'F64',
    'I64',
    'I32',
    'I16',
    'I8',
    'U8',
    'BOOL',
  ] as const satisfies readonly CheckpointDtype[]) {
    it(`${dtype} is refused as a weight`, () => {
      assert.throws(() => floatTypeOf(dtype, 'w'), refusal('ADAPTER_TENSOR_UNSUPPORTED'));
    });
  }
});
