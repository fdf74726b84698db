import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Checkpoint } from '../compiler/checkpoint/checkpoint.js';
import { openCheckpoint } from '../compiler/checkpoint/open-checkpoint.js';
import { IpgraftError } from '../compiler/errors.js';
import { contentDigest } from '../compiler/fingerprint.js';
import type { ByteSource } from '../compiler/io/byte-source.js';
import { fileFolder } from '../compiler/io/file-folder.js';
import { openFile } from '../compiler/io/file-source.js';
import { type InputFile, inputFile } from '../compiler/io/input-file.js';
import type { ModelFolder } from '../compiler/io/model-folder.js';
import { checkExternalData } from '../compiler/onnx/external-data.js';
import { type Model, readModel } from '../compiler/onnx/read-model.js';
import { type Adapter, readAdapters } from '../passes/adapter/adapter.js';

/** A model whose file is open, with the folder in which its external data lies. */
export interface OpenedModel extends Model {
  readonly folder: ModelFolder;
  /** Where it is on disk, links resolved; `null` for a model that is not a file. */
  readonly path: string | null;
  /** The external data files that it names, in its folder. */
  readonly dataFiles: readonly string[];
  /** Itself and its data files, as they were when it was opened; none for a model that is not a file. */
  readonly files: readonly InputFile[];
  close(): Promise<void>;
}

/** An adapter whose file is open. */
export interface OpenedAdapter extends Adapter {
  readonly path: string | null;
  /** The checkpoint, as it was when it was opened. */
  readonly files: readonly InputFile[];
  close(): Promise<void>;
}

/**
 * Opens an ONNX model: reads its graph and the sizes of its data files, no weights.
 * `from` is a path, or a source (a buffer, a browser's File) with the folder that holds its external data, if it has any.
 * @throws IpgraftError `MODEL_*`, `WIRE_*`, `OPTION_FILE_MISSING`
 */
export async function openModel(
  from: string | ByteSource,
  folder: ModelFolder = NO_FOLDER,
): Promise<OpenedModel> {
  const { source, path, files } = await openSource(from);
  const beside = path === null ? folder : fileFolder(dirname(path));
  return closingOnError(source, async () => {
    const model = await readModel(source);
    const dataFiles = await checkExternalData(model.graph, beside);
    const dataPaths = path === null ? [] : dataFiles.map((location) => join(dirname(path), location));
    const all = [...files, ...(await Promise.all(dataPaths.map(inputFile)))];
    const close = async () => void (await Promise.all([source.close(), beside.close()]));
    return { ...model, folder: beside, path, dataFiles, files: all, close };
  });
}

/** How to understand an adapter where its file does not say. */
export interface AdapterOptions {
  /**
   * Of FaceID-Plus: how strongly the features' tokens are added to the face's (version 2), or `null` for version 1. Without it the
   * file's name decides, as `plusv2` in the published ones.
   */
  readonly shortcut?: number | null;
}

/**
 * Opens every adapter of an IP-Adapter checkpoint, safetensors or torch: reads names and shapes and digests the file. Only the state of a
 * diffusers UNet holds more than one. Closing one closes the file of all.
 * @throws IpgraftError `ADAPTER_*`, `OPTION_FILE_MISSING`
 */
export async function openAdapters(
  from: string | ByteSource,
  options: AdapterOptions = {},
): Promise<[OpenedAdapter, ...OpenedAdapter[]]> {
  const { source, path, files } = await openSource(from);
  return closingOnError(source, async () => {
    const checkpoint: Checkpoint = await openCheckpoint(source);
    const adapters = readAdapters(checkpoint, source.name, await contentDigest(source));
    const opened: OpenedAdapter[] = adapters.map((adapter) => ({
      ...withShortcut(adapter, options.shortcut),
      path,
      files,
      close: () => source.close(),
    }));
    return opened as [OpenedAdapter, ...OpenedAdapter[]];
  });
}

/** Opens the adapter of a checkpoint; the first, where it holds several. @throws as {@link openAdapters} */
export async function openAdapter(
  from: string | ByteSource,
  options: AdapterOptions = {},
): Promise<OpenedAdapter> {
  const [adapter] = await openAdapters(from, options);
  return adapter;
}

function withShortcut(adapter: Adapter, shortcut: number | null | undefined): Adapter {
  if (shortcut === undefined || adapter.projection.family !== 'faceid-plus') return adapter;
  return { ...adapter, projection: { ...adapter.projection, shortcut } };
}

/** Opens a path; a missing file is a matter of options, not of models. */
export async function openSource(
  from: string | ByteSource,
): Promise<{ source: ByteSource; path: string | null; files: InputFile[] }> {
  if (typeof from !== 'string') return { source: from, path: null, files: [] };
  try {
    // The name that the user gave, in the folder where the file really is: its external data lies there.
    const path = join(await realpath(dirname(from)), basename(from));
    const files = [await inputFile(path)];
    return { source: await openFile(path), path, files };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    const why =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'it is no file'
          : code;
    throw new IpgraftError(
      'OPTION_FILE_MISSING',
      `${from} cannot be read: ${why}`,
      { file: from, code },
      { cause },
    );
  }
}

async function closingOnError<T>(source: ByteSource, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await source.close();
    throw error;
  }
}

const NO_FOLDER: ModelFolder = {
  size: async () => null,
  open: async (location) => {
    throw new IpgraftError(
      'MODEL_EXTERNAL_MISSING',
      `the model names ${location}, and no folder was given with it`,
      { location },
    );
  },
  close: async () => {},
};
