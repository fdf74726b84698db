import { basename, join, relative } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { draftOf, putFolders } from '../../../compiler/io/folder-draft.js';
import { type OutputFile, sizeOf } from '../../../compiler/io/write-files.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { JOURNAL_KEY } from '../../../passes/stamp-metadata.js';
import { batchModel } from '../../batch.js';
import type { OpenedModel } from '../../open.js';
import type { ModelInterface } from '../../serve/backend.js';
import type { ModelConfig } from '../../serve/config/model-config.js';
import { checkEnsemble } from '../../serve/ensemble/check-ensemble.js';
import { offerPipelines } from '../../serve/ensemble/offer-pipelines.js';
import { isModelName } from '../../serve/repository/model-files.js';
import { type ModelKind, modelKind } from '../../serve/repository/model-kind.js';
import { readStamp } from '../../stamp.js';
import { tokensBehindText } from '../../validate/image-inputs.js';
import { modelFiles } from '../model-files.js';
import { modelInterface } from '../model-interface.js';
import type { SampleSize } from '../sample-shape.js';
import { lintModel, ownFault } from './lint.js';
import { ensembleConfig, modelConfig, type TritonOptions } from './model-config.js';
import { refuseTooNew, type TritonRelease } from './releases.js';

/** What to package, and how. */
export interface PackageOptions extends Omit<TritonOptions, 'warmup'> {
  readonly target: TritonRelease;
  /** Names of the models, in their order; what is missing is told by what a model is. */
  readonly names: readonly string[];
  /** Of the sample request; `null`: none. */
  readonly sample: Omit<SampleSize, 'tokensBehindText'> | null;
  readonly force: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** A model or an ensemble of the repository. */
export interface PackagedModel {
  /** Of its folder. */
  readonly name: string;
  /** Triton's name of what runs it. */
  readonly platform: 'onnxruntime_onnx' | 'ensemble';
  /** 0 where requests run alone. */
  readonly maxBatchSize: number;
  /** Edits that gave its inputs a batch. */
  readonly edits: number;
  /** What its folder holds; of an ensemble its configuration alone. */
  readonly files: readonly {
    /** Within the model's folder. */
    readonly name: string;
    /** Size of the file. */
    readonly bytes: number;
  }[];
}

type ModelFile = OpenedModel & { readonly path: string };

/** A model on its way into the repository. */
interface Prepared {
  readonly name: string;
  readonly kind: ModelKind | undefined;
  readonly model: ModelInterface;
  readonly edits: number;
  /** Where all is in `folder`. */
  files(folder: string): Promise<readonly OutputFile[]>;
}

/**
 * Lays models out as a model repository that Triton loads: REPO/MODEL/1/model.onnx with its data files, and a complete config.pbtxt. Where an image
 * encoder and what reads its result are among them, an ensemble leads from the picture to the UNet's image input. Every folder is written under a
 * temporary name, held against its model, and only then takes its own: all of them or none.
 * @throws IpgraftError `PACKAGE_*`, `MODEL_NOT_BATCHED`, `OUTPUT_*`
 */
export async function packageTriton(
  models: readonly ModelFile[],
  repository: string,
  options: PackageOptions,
): Promise<PackagedModel[]> {
  const { maxBatch, force, signal, onProgress } = options;
  const prepared: Prepared[] = [];
  for (const [index, opened] of models.entries())
    prepared.push(await prepare(opened, options.names[index], options));
  const ensembles = offerPipelines(
    prepared.filter(({ kind }) => kind !== undefined),
    () => {},
  ).map(({ name, config }) => ({ name, config: maxBatch > 0 ? batched(config, maxBatch) : config }));
  const names = [...prepared, ...ensembles].map(({ name }) => name);
  refuseTwins(names);
  const targetOf = (name: string) => join(repository, name);
  const modelFolders = await Promise.all(prepared.map(({ name, files }) => files(draftOf(targetOf(name)))));
  const ensembleFolders = ensembles.map(({ name, config }) => [
    textFile(join(draftOf(targetOf(name)), 'config.pbtxt'), ensembleConfig(name, config)),
  ]);
  const folders = [...modelFolders, ...ensembleFolders];
  await putFolders(names.map(targetOf), folders.flat(), {
    force,
    signal,
    inputs: models.flatMap(({ files }) => files),
    ...(onProgress && { onProgress }),
    // Triton wants a version of an ensemble too, and nothing is in it.
    emptyFolders: ensembles.map(({ name }) => join(draftOf(targetOf(name)), '1')),
    async check() {
      try {
        const linted = new Map<string, Awaited<ReturnType<typeof lintModel>>>();
        for (const { name } of prepared) linted.set(name, await lintModel(repository, draftOf(name), name));
        for (const { name, config } of ensembles)
          checkEnsemble(name, config, ({ model }) => linted.get(model)!);
      } catch (error) {
        throw ownFault(error);
      }
    },
  });
  return names.map((name, index) => {
    const model = prepared[index];
    return {
      name,
      platform: model === undefined ? 'ensemble' : 'onnxruntime_onnx',
      maxBatchSize: maxBatch,
      edits: model?.edits ?? 0,
      files: folders[index]!.map(({ path, content }) => ({
        name: relative(draftOf(targetOf(name)), path),
        bytes: sizeOf(content),
      })),
    };
  });
}

async function prepare(
  opened: ModelFile,
  named: string | undefined,
  options: PackageOptions,
): Promise<Prepared> {
  const { target, maxBatch, sample } = options;
  refuseTooNew(opened.graph, opened.source.name, target);
  const result =
    maxBatch > 0 ? batchModel(opened) : { opened, graph: opened.graph, passes: [], isChanged: false };
  const model = modelInterface({ graph: result.graph, source: opened.source });
  const kind = await modelKind(opened.path, model);
  const name = named ?? nameOf(opened, kind);
  if (!isModelName(name))
    throw new IpgraftError(
      'PACKAGE_NAME',
      `“${name}”: sought letters, digits, '_', '.' and '-', the first a letter or a digit`,
      { name },
    );
  const isPatched = opened.graph.metadata.has(JOURNAL_KEY);
  const warmup = sample && {
    ...sample,
    tokensBehindText: isPatched ? tokensBehindText(readStamp(opened)) : 0,
  };
  return {
    name,
    kind,
    model,
    edits: result.passes.reduce((sum, { edits }) => sum + edits.length, 0),
    async files(folder) {
      const { filename, files } = await modelFiles({ ...result, opened }, join(folder, '1'));
      const config = modelConfig({ name, filename, model }, { ...options, warmup });
      return [...files, textFile(join(folder, 'config.pbtxt'), config)];
    },
  };
}

/** What part a model has, else a UNet by its inputs, else what its file is called. */
function nameOf({ graph, path }: ModelFile, kind: ModelKind | undefined): string {
  if (kind !== undefined) return kind;
  const isUnet = graph.inputs.has('sample') && graph.outputs.has('out_sample');
  return isUnet ? 'unet' : basename(path).replace(/\.onnx$/, '');
}

function refuseTwins(names: readonly string[]): void {
  const twin = names.find((name, index) => names.indexOf(name) !== index);
  if (twin !== undefined)
    throw new IpgraftError('PACKAGE_NAME', `two models would be called “${twin}”`, { name: twin });
}

/** The ensemble of batched models: the batch is no dimension of its tensors. */
function batched(config: ModelConfig, maxBatchSize: number): ModelConfig {
  const without = (tensors: ModelConfig['inputs']) =>
    tensors.map((tensor) => ({ ...tensor, dims: tensor.dims.slice(1) }));
  return { ...config, maxBatchSize, inputs: without(config.inputs), outputs: without(config.outputs) };
}

function textFile(path: string, text: string): OutputFile {
  return { path, content: Rope.ofText(text) };
}
