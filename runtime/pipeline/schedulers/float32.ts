/** Rounds to float32. An operation on float32 numbers in double precision, rounded once, is the float32 operation. */
export const f32 = Math.fround;

/** `x + y`, element by element. */
export function add(x: Float32Array, y: Float32Array): Float32Array {
  return x.map((value, i) => value + y[i]!);
}

/** `x − y`, element by element. */
export function subtract(x: Float32Array, y: Float32Array): Float32Array {
  return x.map((value, i) => value - y[i]!);
}

/** `factor · x`, where the factor is rounded to float32 first, as torch does with a Python number. */
export function multiply(factor: number, x: Float32Array): Float32Array {
  const rounded = f32(factor);
  return x.map((value) => rounded * value);
}

/** `x / divisor`. */
export function divide(x: Float32Array, divisor: number): Float32Array {
  const rounded = f32(divisor);
  return x.map((value) => value / rounded);
}

/** The sum of products of factors and arrays, rounded after each operation, from the first one on. */
export function combine(...terms: readonly (readonly [factor: number, x: Float32Array])[]): Float32Array {
  return terms.map(([factor, x]) => multiply(factor, x)).reduce(add);
}

/** `x` held between −range and range. */
export function clamp(x: Float32Array, range: number): Float32Array {
  return x.map((value) => Math.min(range, Math.max(-range, value)));
}

/** The square root of a float32 number, as one. */
export function sqrt(x: number): number {
  return f32(Math.sqrt(x));
}

/** The square of a float32 number, as one. */
export function square(x: number): number {
  return f32(x * x);
}
