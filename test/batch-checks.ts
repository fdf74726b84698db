import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ValueInfo } from '../compiler/onnx/value-info.js';
import { batchModel, writeBatched } from '../runtime/batch.js';
import { openModel } from '../runtime/open.js';
import { stripPatched } from '../runtime/strip-patched.js';
import { normalNumbers, seededInputs } from '../runtime/validate/seeded-inputs.js';
import { freshFolder } from './fixtures.js';
import { largestDifference, type Values } from './numbers.js';
import { holdsProof } from './patched.js';
import { load } from './session.js';

type Feeds = Record<string, Values>;

const ROWS = 3;
const TIMESTEPS = [900, 333, 10];
/** Inputs that hold for all rows. */
const SHARED: ReadonlySet<string> = new Set(['timestep', 'timesteps', 't', 'ip_scale', 'ip_mask']);

/** Gives the inputs of a model file a batch, in a new folder. */
export async function batchFile(path: string): Promise<string> {
  const opened = await openModel(path);
  try {
    const batched = join(freshFolder(), 'batched.onnx');
    await writeBatched(batchModel(opened), batched);
    return batched;
  } finally {
    await opened.close();
  }
}

/**
 * What every batched model must be: undone it is `base` byte for byte, the difference is what it declares, and each of its rows, with
 * a timestep, scales and masks of its own, is that row of `model` (the base, or what was made of it) with these for all rows: bit for bit, or
 * within `tolerance` of the row's largest number.
 */
export async function holdsBatched(base: string, model: string, tolerance = 0): Promise<void> {
  const batched = await batchFile(model);
  await holdsUndone(base, batched);
  await holdsProof(base, batched);
  const rows = await ownRuns(model);
  const session = await load(batched);
  try {
    const found = await session.run(stacked(rows.map(({ feeds }) => feeds)));
    let spread = 0;
    for (const [name, { data }] of found) {
      const size = data.length / ROWS;
      const of = (all: Float32Array, row: number) => all.subarray(row * size, (row + 1) * size);
      rows.forEach(({ results }, row) => {
        const own = of(results.get(name)!.data, row);
        const difference = largestDifference(of(data, row), own);
        const allowed = tolerance * largestDifference(own, new Float32Array(size));
        assert.ok(difference <= allowed, `row ${row} of ${name}: ${difference}, allowed ${allowed}`);
      });
      const [first, second] = rows.map(({ results }) => of(results.get(name)!.data, 0));
      spread = Math.max(spread, largestDifference(first!, second!));
    }
    // Otherwise nothing would tell whether a row saw its own.
    assert.ok(spread > 1e-4, `the timestep makes no difference: ${spread}`);
  } finally {
    await session.release();
  }
}

async function holdsUndone(base: string, batched: string): Promise<void> {
  const opened = await openModel(batched);
  const restored = join(freshFolder(), 'base.onnx');
  await stripPatched(opened, restored);
  await opened.close();
  assert.ok(readFileSync(restored).equals(readFileSync(base)), 'undone, it is not the base');
}

/** The model as it was, once for each row: with that row's timestep, scales and masks for all. */
async function ownRuns(path: string) {
  const opened = await openModel(path);
  const { inputs } = opened.graph;
  await opened.close();
  const shapes = new Map([...inputs.values()].map((input) => [input.name, sizes(input)]));
  const seeded = seededInputs(opened.graph, 1, shapes, ROWS);
  const normal = normalNumbers(2);
  const session = await load(path);
  try {
    const runs = [];
    for (let row = 0; row < ROWS; row++) {
      const feeds: Feeds = { ...seeded };
      for (const [name, { dims, data }] of Object.entries(seeded)) {
        if (!SHARED.has(name)) continue;
        const number = name.startsWith('t') ? () => TIMESTEPS[row]! : () => normal();
        feeds[name] = { dims, data: Float32Array.from(data, number) };
      }
      runs.push({ feeds, results: await session.run(feeds) });
    }
    return runs;
  } finally {
    await session.release();
  }
}

/** Small sizes for what is free. */
function sizes({ name, shape }: ValueInfo): number[] {
  const side = name === 'controlnet_cond' ? 128 : 16;
  return shape!.map((size, axis) => {
    if (typeof size === 'number') return size;
    if (name === 'ip_mask') return axis === 1 ? 1 : side;
    return axis === 0 || name === 'ip_scale' ? ROWS : shape!.length >= 4 ? side : 31;
  });
}

/** One request of all rows: what held for all rows in front of each other, [adapters, …] → [B, adapters, …]. */
function stacked(rows: readonly Feeds[]): Feeds {
  return Object.fromEntries(
    Object.entries(rows[0]!).map(([name, first]) => {
      if (!SHARED.has(name)) return [name, first];
      const each = rows.map((feeds, row) => ofRow(name, feeds[name]!, row));
      const dims = [rows.length, ...each[0]!.dims];
      return [name, { dims, data: Float32Array.from(each.flatMap(({ data }) => [...data])) }];
    }),
  );
}

/** What row `row` of a run was given: of a scale per row [adapters, B] its column, of a mask [images, 1, H, W] the mask itself. */
function ofRow(name: string, { dims, data }: Values, row: number): Values {
  if (name === 'ip_mask') return { dims: [dims[0]!, ...dims.slice(2)], data };
  const isPerRow = name === 'ip_scale' && isScalePerRow(dims);
  if (!isPerRow) return { dims: name === 'ip_scale' ? dims : [], data };
  return { dims: [dims[0]!], data: data.filter((_, i) => i % ROWS === row) };
}

/** [adapters, B]; no UNet here has as many cross-attentions as rows. */
function isScalePerRow(dims: readonly number[]): boolean {
  return dims.length === 2 && dims[1] === ROWS;
}
