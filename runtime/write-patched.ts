import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, parse, resolve } from 'node:path';
import { parseJournal } from '../compiler/edit/journal.js';
import { IpgraftError } from '../compiler/errors.js';
import type { InputFile } from '../compiler/io/input-file.js';
import { type OutputFile, sizeOf, type WriteOptions, writeFiles } from '../compiler/io/write-files.js';
import type { Graph } from '../compiler/onnx/graph.js';
import { type PlacedWeights, type Placement, placeWeights } from '../compiler/onnx/place-weights.js';
import { writeModel } from '../compiler/onnx/write-model.js';
import { sealOf } from '../compiler/seal.js';
import type { WeightsPlace } from '../compiler/weights-place.js';
import { sampleWeights } from '../compiler/weights-sample.js';
import type { Adapter } from '../passes/adapter/adapter.js';
import { JOURNAL_KEY, METADATA_PREFIX, SEAL_KEY, WEIGHTS_KEY } from '../passes/stamp-metadata.js';
import type { PatchedModel } from './compile.js';
import type { OpenedAdapter, OpenedModel } from './open.js';

/** `auto` references the base's weights when the output lies in the base's folder, and copies them when it does not. */
export type WeightsMode = 'auto' | 'reference' | 'copy';

/** How to write a patched model. */
export interface WritePatchedOptions extends WriteOptions {
  readonly weights?: WeightsMode;
}

/** What was written. */
export interface WrittenModel {
  /** Whether large weights of the base are named where they are, or were copied. */
  readonly weights: 'reference' | 'copy';
  /** Files of the result, the model last. */
  readonly files: readonly {
    /** Without folder. */
    readonly name: string;
    /** Size of the file. */
    readonly bytes: number;
  }[];
  /** Files of the base that the result needs beside it. */
  readonly needs: readonly string[];
}

/** From here on protobuf cannot hold a message. Bytes. */
const LARGEST_MESSAGE = 2 ** 31 - 1;

/**
 * Writes a patched model to `path`. Cost follows the adapter: in `reference` mode large weights of the base are named where they
 * are, in `copy` mode they stream past. Either all files are there afterwards or none.
 * @throws IpgraftError `OUTPUT_EXISTS`, `OUTPUT_IS_INPUT`, `OUTPUT_FAILED`, `OUTPUT_TOO_LARGE`, `OPTION_INVALID`
 */
export async function writePatched(
  patched: PatchedModel,
  path: string,
  options: WritePatchedOptions = {},
): Promise<WrittenModel> {
  const plan = await planOutput(patched, path, options.weights ?? 'auto');
  await writeFiles(plan.files, { ...options, inputs: [...inputFiles(patched), ...(options.inputs ?? [])] });
  return plan.written;
}

/** The files that a patched model was made of: no output may replace them. */
export function inputFiles({ opened, options }: PatchedModel): InputFile[] {
  return [...opened.files, ...checkpointsOf(options.adapters ?? [])];
}

/** The files of those adapters that are files. */
export function checkpointsOf(adapters: readonly Adapter[]): InputFile[] {
  return adapters.flatMap((adapter) => ('files' in adapter ? (adapter as OpenedAdapter).files : []));
}

/** What {@link writePatched} would write, without writing. */
export async function planOutput(
  patched: Pick<PatchedModel, 'opened' | 'graph'>,
  path: string,
  weights: WeightsMode,
): Promise<{ files: OutputFile[]; written: WrittenModel }> {
  const { opened } = patched;
  const target = resolve(path);
  const place = await placeOf(opened, path, weights);
  const { folder, besideBase, mode } = place;
  const locations = opened.dataFiles;
  const sidecarName = `${parse(target).name}.ip_adapter.data`;
  const placed = placeAll(
    patched,
    mode === 'reference' ? await baseWeights(opened) : null,
    sidecarName,
    locations.length > 0,
  );
  const model = writeModel(opened, await sealed(placed.graph));
  if (model.length > LARGEST_MESSAGE) {
    throw new IpgraftError(
      'OUTPUT_TOO_LARGE',
      `the model would have ${model.length} bytes, and protobuf allows ${LARGEST_MESSAGE}`,
      {
        bytes: model.length,
      },
    );
  }
  const files = await copiesTo(place, opened);
  if (placed.sidecar.length > 0) files.push({ path: join(folder, sidecarName), content: placed.sidecar });
  files.push({ path: join(folder, basename(target)), content: model });
  const needs =
    mode === 'copy' ? [] : [...(placed.referenced.tensors > 0 ? [basename(opened.path!)] : []), ...locations];
  return {
    files,
    written: {
      weights: mode,
      files: files.map(({ path: file, content }) => ({
        name: basename(file),
        bytes: sizeOf(content),
      })),
      needs: besideBase && mode === 'copy' ? locations : needs,
    },
  };
}

/** The graph with the seal of all that was inserted, large tensors named where they will be. */
async function sealed(graph: Graph): Promise<Graph> {
  const journal = parseJournal(graph.metadata.get(JOURNAL_KEY)!);
  const seal = await sealOf(graph, journal, METADATA_PREFIX, SEAL_KEY);
  return graph.with({ metadata: new Map(graph.metadata).set(SEAL_KEY, seal) });
}

/**
 * The data files of a base that come along when its patched model is written elsewhere: known before anything is compiled.
 * @throws IpgraftError `OPTION_INVALID`
 */
export async function dataFileCopies(
  opened: OpenedModel,
  path: string,
  weights: WeightsMode,
): Promise<OutputFile[]> {
  return copiesTo(await placeOf(opened, path, weights), opened);
}

async function copiesTo({ folder, besideBase }: Place, opened: OpenedModel): Promise<OutputFile[]> {
  if (besideBase || opened.path === null) return [];
  const from = dirname(opened.path);
  return Promise.all(
    opened.dataFiles.map(async (location) => {
      const copyOf = join(from, location);
      return { path: join(folder, location), content: { copyOf, size: (await stat(copyOf)).size } };
    }),
  );
}

/** Where a result goes, and what that means for the base's weights. */
interface Place {
  readonly folder: string;
  readonly besideBase: boolean;
  readonly mode: WrittenModel['weights'];
}

async function placeOf(opened: OpenedModel, path: string, weights: WeightsMode): Promise<Place> {
  const folder = await realFolder(dirname(resolve(path)));
  const besideBase = await isBesideBase(opened.path, folder);
  if (weights === 'reference' && !besideBase) {
    throw new IpgraftError(
      'OPTION_INVALID',
      '--weights reference: the output must lie in the folder of the base',
      { output: basename(path) },
    );
  }
  return { folder, besideBase, mode: weights === 'copy' || !besideBase ? 'copy' : 'reference' };
}

/** The base file as the place of its own weights. */
async function baseWeights({ path, file }: OpenedModel): Promise<WeightsPlace> {
  return { location: basename(path!), isBase: true, sample: await sampleWeights(file) };
}

/** Large weights go where `base` says, or with the result when it is `null`. */
function placeAll(
  patched: Pick<PatchedModel, 'opened' | 'graph'>,
  base: WeightsPlace | null,
  sidecar: string,
  hasExternal: boolean,
): PlacedWeights {
  const { opened, graph } = patched;
  const place = (placement: Placement, where: WeightsPlace) => {
    const placed = placeWeights(graph, placement);
    if (placed.referenced.tensors === 0) return placed;
    // Whoever undoes the graft must know that these tensors once were inside.
    const metadata = new Map([...placed.graph.metadata, [WEIGHTS_KEY, JSON.stringify(where)]]);
    return { ...placed, graph: placed.graph.with({ metadata }) };
  };
  if (base !== null) return place({ sidecar, base: { reference: base.location } }, base);
  const beside: WeightsPlace = { location: sidecar, isBase: false };
  const carried = place({ sidecar: hasExternal ? sidecar : null, base: 'carry' }, beside);
  return writeModel(opened, carried.graph).length <= LARGEST_MESSAGE
    ? carried
    : place({ sidecar, base: 'sidecar' }, beside);
}

/** A base that is itself a link elsewhere is not beside anything: runtimes refuse weights behind such a link. */
async function isBesideBase(base: string | null, folder: string): Promise<boolean> {
  return base !== null && dirname(base) === folder && (await realpath(base)) === base;
}

async function realFolder(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    // It will be made when the files are written.
    return path;
  }
}
