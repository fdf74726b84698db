import type { Values } from '../../session/session.js';

/** How strongly a picture follows its prompt. */
export interface Guidance {
  /** 1 and less: not guided, one row per picture. */
  readonly scale: number;
  /** 0 to 1: how much of the unguided prediction's deviation is given back. */
  readonly rescale: number;
}

/**
 * Classifier-free guidance of rows [unconditional ; conditional], [2n, …] → [n, …]: `u + s · (c − u)`, and with a rescale φ the share φ of it
 * scaled to the deviation of `c` (section 3.4 of “Common Diffusion Noise Schedules and Sample Steps are Flawed”, diffusers'
 * `rescale_noise_cfg`).
 */
export function guide({ dims, data }: Values, { scale, rescale }: Guidance): Values {
  const count = data.length / 2;
  const conditional = data.subarray(count);
  const guided = new Float32Array(count);
  for (let i = 0; i < count; i++) guided[i] = data[i]! + scale * (conditional[i]! - data[i]!);
  const rows = dims[0]! / 2;
  if (rescale > 0) {
    const size = count / rows;
    for (let row = 0; row < rows; row++) {
      const part = guided.subarray(row * size, (row + 1) * size);
      const ratio = deviation(conditional.subarray(row * size, (row + 1) * size)) / deviation(part);
      const factor = rescale * ratio + 1 - rescale;
      for (let i = 0; i < size; i++) part[i]! *= factor;
    }
  }
  return { dims: [rows, ...dims.slice(1)], data: guided };
}

/**
 * `timestep_cond` of distilled UNets (LCM): the guidance scale less one as sines and cosines, [n, width]. Source: diffusers'
 * `get_guidance_scale_embedding`.
 */
export function guidanceEmbedding(scale: number, width: number, rows: number): Values {
  const half = Math.floor(width / 2);
  const data = new Float32Array(rows * width);
  for (let i = 0; i < half; i++) {
    const angle = (scale - 1) * 1000 * Math.exp((-i * Math.log(10000)) / (half - 1));
    for (let row = 0; row < rows; row++) {
      data[row * width + i] = Math.sin(angle);
      data[row * width + half + i] = Math.cos(angle);
    }
  }
  return { dims: [rows, width], data };
}

/** Of a sample: divided by one less than the count. */
function deviation(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}
