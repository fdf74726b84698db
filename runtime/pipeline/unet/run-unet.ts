import { IpgraftError } from '../../../compiler/errors.js';
import type { Values } from '../../session/session.js';
import type { ComponentModel } from '../component-model.js';
import { type Feeds, rowsOf, runComponent, stackRows } from '../run-component.js';

/** Feeds that are the same for all rows: they are no batch. */
const SHARED: ReadonlySet<string> = new Set(['timestep', 'ip_scale', 'ip_mask']);

/**
 * Predicts the noise of all rows of `sample`. A UNet that was exported for a fixed number of rows runs several times.
 * @param feeds of all inputs; a timestep is one number, whatever rank or type the UNet gives it
 * @throws IpgraftError `PIPELINE_REQUEST` for rows or a size that the UNet was not exported for, and as {@link runComponent}
 */
export async function runUnet(unet: ComponentModel, feeds: Feeds, signal?: AbortSignal): Promise<Values> {
  const output = unet.outputs[0]!.name;
  const options = { outputs: [output], ...(signal && { signal }) };
  const sample = feeds.sample!;
  const rows = sample.dims[0]!;
  const declared = (input: string) => unet.inputs.find(({ name }) => name === input)?.shape ?? [];
  refuseSize(sample.dims, declared('sample'));
  const fixed = declared('sample')[0] ?? -1;
  const given: Record<string, Values> = {
    ...feeds,
    timestep: fitTimestep(feeds.timestep!, declared('timestep'), rows),
  };
  if (fixed === -1 || fixed === rows) return (await runComponent(unet, given, options)).get(output)!;
  if (rows % fixed !== 0)
    throw new IpgraftError(
      'PIPELINE_REQUEST',
      `the UNet takes ${fixed} rows, found ${rows}: two per guided picture`,
      {
        sought: fixed,
        found: rows,
      },
    );
  const columns = declared('ip_scale')[1];
  // A scale for each layer has their number, which is fixed.
  if (given.ip_scale?.dims[1] === rows && (columns === -1 || columns === fixed))
    given.ip_scale = firstColumns(given.ip_scale, fixed);
  const parts: Values[] = [];
  for (let begin = 0; begin < rows; begin += fixed) {
    const part = Object.fromEntries(
      Object.entries(given).map(([name, values]) => [
        name,
        SHARED.has(name) || values.dims[0] !== rows ? values : rowsOf(values, begin, begin + fixed),
      ]),
    );
    parts.push((await runComponent(unet, part, options)).get(output)!);
  }
  return stackRows(parts);
}

/** One number for all rows: [], [1], or as often as there are rows. */
function fitTimestep({ data }: Values, shape: readonly number[], rows: number): Values {
  if (shape.length === 0) return { dims: [], data };
  const count = shape[0] === -1 ? rows : shape[0]!;
  return { dims: [count], data: new Float32Array(count).fill(data[0]!) };
}

/** A scale for each row [adapters, rows], for fewer rows: all rows of a picture have the same. */
function firstColumns({ dims, data }: Values, count: number): Values {
  const [adapters, columns] = dims as [number, number];
  const kept = Array.from({ length: adapters }, (_, i) => data.subarray(i * columns, i * columns + count));
  return { dims: [adapters, count], data: Float32Array.from(kept.flatMap((each) => [...each])) };
}

function refuseSize(found: readonly number[], declared: readonly number[]): void {
  const wrong = declared.slice(2).findIndex((size, i) => size !== -1 && size !== found[i + 2]);
  if (wrong === -1) return;
  throw new IpgraftError(
    'PIPELINE_REQUEST',
    `the UNet was exported for latents of ${declared[2]} × ${declared[3]}, found ${found[2]} × ${found[3]}`,
    { sought: declared.slice(2), found: found.slice(2) },
    { hint: 'Ask for the width and height that it was exported for, or export it with free ones.' },
  );
}
