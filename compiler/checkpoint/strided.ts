/** How a tensor lies in a storage. Offset and strides count elements, strides are not negative. */
export interface Layout {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
}

/** Whether the elements follow one another in row-major order. Sides of 1 may have any stride. */
export function isContiguous({ shape, strides }: Layout): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis]! === 0) return true;
    if (shape[axis]! !== 1 && strides[axis]! !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** First and last element that a layout reaches, both inclusive; undefined where it has none. */
export function reach({
  shape,
  strides,
  offset,
}: Layout): readonly [first: number, last: number] | undefined {
  if (shape.includes(0)) return undefined;
  return [offset, shape.reduce((sum, side, axis) => sum + (side - 1) * strides[axis]!, offset)];
}

/**
 * Elements of a layout in row-major order.
 * @param window bytes of the elements from `layout.offset` to the last that is reached
 * @param size bytes per element
 * @returns product of the shape × `size` bytes
 */
export function gather(window: Uint8Array, layout: Layout, size: number): Uint8Array {
  const { shape, strides } = layout;
  const count = shape.reduce((product, side) => product * side, 1);
  const bytes = new Uint8Array(count * size);
  const index = new Array<number>(shape.length).fill(0);
  let at = 0;
  for (let i = 0; i < count; i++) {
    for (let byte = 0; byte < size; byte++) bytes[i * size + byte] = window[at * size + byte]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return bytes;
}
