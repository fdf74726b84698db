import type { Values } from '../session/session.js';

/** The coefficient of PyTorch's bicubic interpolation. */
const A = -0.75;

/**
 * One image's mask at the `queries` of an attention: [R, H, W] → [R, S, 1].
 *
 * Source: `IPAdapterMaskProcessor.downsample` in diffusers' image_processor.py, with `torch.nn.functional.interpolate`'s bicubic (half
 * pixels, borders repeated, not clamped). What is over is cut off, what is missing is zero.
 */
export function maskAtQueries({ dims, data }: Values, queries: number): Values {
  const [rows, height, width] = dims as [number, number, number];
  const floor = Math.max(1, Math.trunc(Math.sqrt(queries / (width / height))));
  const down = floor + (queries % floor === 0 ? 0 : 1);
  const across = Math.floor(queries / down);
  const result = new Float32Array(rows * queries);
  const [vertical, horizontal] = [taps(height, down), taps(width, across)];
  for (let row = 0; row < rows; row++)
    for (let place = 0; place < Math.min(down * across, queries); place++) {
      let sum = 0;
      for (const [y, u] of vertical[Math.floor(place / across)]!)
        for (const [x, v] of horizontal[place % across]!)
          sum += u * v * data[(row * height + y) * width + x]!;
      result[row * queries + place] = sum;
    }
  return { dims: [rows, queries, 1], data: result };
}

/** For each of `to` places among `from` samples, the four samples that make it and their weights. */
function taps(from: number, to: number): (readonly [number, number])[][] {
  return Array.from({ length: to }, (_, i) => {
    const at = (i + 0.5) * (from / to) - 0.5;
    const first = Math.floor(at);
    return [-1, 0, 1, 2].map((offset) => {
      const sample = Math.min(from - 1, Math.max(0, first + offset));
      return [sample, cubic(Math.abs(at - first - offset))] as const;
    });
  });
}

/** Keys' kernel (1981) at a distance of up to two samples. */
function cubic(x: number): number {
  return x <= 1 ? ((A + 2) * x - (A + 3)) * x * x + 1 : ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
}
