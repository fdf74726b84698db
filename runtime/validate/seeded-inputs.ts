import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { dataTypeName } from '../../compiler/onnx/data-type.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { ValueInfo } from '../../compiler/onnx/value-info.js';
import { MASK_INPUT } from '../../passes/insert-image-mask.js';
import { SCALE_INPUT } from '../../passes/scale-values.js';
import type { Values } from '../session/session.js';

/** Shapes that the user gives for inputs, by name. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/** What free dimensions become: two rows, unless the caller says otherwise, latents of 32 × 32 (every published UNet can halve them three times), CLIP's 77 tokens. */
const ROWS = 2;
const LATENT_SIDE = 32;
const TEXT_TOKENS = 77;
/** In the middle of the 1000 steps that diffusion models are trained on. */
const TIMESTEP = 500;

/**
 * Inputs of a UNet, the same ones for the same seed: normally distributed numbers in each input's own shape, a timestep, masks
 * of ones. Free dimensions are chosen by the input's rank; `shapes` says otherwise. `rows` is the batch, where the text's is free.
 */
export function seededInputs(
  graph: Graph,
  seed: number,
  shapes: Shapes = new Map(),
  rows = ROWS,
): Record<string, Values> {
  const normal = normalNumbers(seed);
  const batch = textRows(graph) ?? rows;
  return Object.fromEntries(
    [...graph.inputs.values()].map((input) => {
      const dims = shapes.get(input.name) ?? shapeOf(input, batch);
      const count = dims.reduce((product, size) => product * size, 1);
      const isFloat = /float|double/.test(dataTypeName(input.dataType));
      const data = new Float32Array(count);
      if (/timestep|^t$/.test(input.name) || (dims.length <= 1 && isFloat)) data.fill(TIMESTEP);
      else if (isFloat) for (let i = 0; i < count; i++) data[i] = normal();
      else data.fill(1);
      return [input.name, { dims, data }];
    }),
  );
}

/** Rows of the text where they are fixed: once per frame in UNets of several frames, and images come as often. */
function textRows(graph: Graph): number | undefined {
  const rows = [...graph.inputs.values()].map(({ shape }) => (shape?.length === 3 ? shape[0] : undefined));
  return rows.find((each) => typeof each === 'number');
}

/** Normally distributed numbers, by the method of Box and Muller (1958). */
export function normalNumbers(seed: number): () => number {
  const random = xoroshiro128plus(seed);
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(random)));
    return radius * Math.cos(2 * Math.PI * uniformFloat64(random));
  };
}

function shapeOf({ name, shape }: ValueInfo, rows: number): readonly number[] {
  const dimensions = shape ?? [];
  // Of a patched model's own inputs: a scale per row, and a mask for all rows.
  const ofTheSecondAxis: Readonly<Record<string, number>> = { [SCALE_INPUT]: rows, [MASK_INPUT]: 1 };
  return dimensions.map((dimension, axis) => {
    if (typeof dimension === 'number') return dimension;
    if (axis === 0) return rows;
    if (axis === 1 && name in ofTheSecondAxis) return ofTheSecondAxis[name]!;
    if (dimensions.length === 3) return TEXT_TOKENS;
    return dimensions.length === 2 ? TEXT_TOKENS : LATENT_SIDE;
  });
}
