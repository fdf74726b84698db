import { stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { type InputFile, inputFile } from '../../../compiler/io/input-file.js';
import type { OutputFile } from '../../../compiler/io/write-files.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { hoistedModels } from '../../hoist.js';
import { projectionModel } from '../../project-image.js';
import { type CompileReport, reportOf } from '../../report.js';
import { checkpointsOf, planOutput } from '../../write-patched.js';
import { ADAPTATION_FILE } from '../folder/adaptation.js';
import type { JsonObject } from '../folder/inside.js';
import { MODEL_INDEX } from '../folder/model-index.js';
import {
  type AdaptedFolder,
  encoderFolder,
  IMAGE_ENCODER,
  keysAndValuesFile,
  modelFile,
  type PatchedComponent,
  projectionFile,
} from './adapt.js';
import { clipPreprocessor, FEATURE_EXTRACTOR, PREPROCESSOR_FILE } from './feature-extractor.js';
import { filesBelow } from './folder-files.js';
import { encoderFiles } from './image-encoder.js';

/** A file of an adapted folder. */
export interface PlannedFile {
  /** Its path below the folder. */
  readonly name: string;
  /** `copied` with every byte, `patched`, `added`, or `rewritten`: `model_index.json` with other entries. */
  readonly action: 'copied' | 'patched' | 'added' | 'rewritten';
  readonly content: OutputFile['content'];
}

/** What is to be written, and what it is made of. */
export interface FolderPlan {
  /** Sorted by name. */
  readonly files: readonly PlannedFile[];
  readonly inputs: readonly InputFile[];
  readonly unet: CompileReport;
  readonly controlnets: readonly { readonly name: string; readonly report: CompileReport }[];
}

/**
 * What an adapted folder consists of. `target`: a folder that is not there yet; large weights of the base can be named only beside it, so
 * here they come along.
 * @throws IpgraftError `MODEL_FOLDER_ESCAPES`, `MODEL_FOLDER_FILE`, `OUTPUT_TOO_LARGE`
 */
export async function planFolder(adapted: AdaptedFolder, target: string): Promise<FolderPlan> {
  const { folder, adapters, newEncoders, adaptation } = adapted;
  const unet = await patchedFiles(adapted.unet, target);
  const controlnets = await Promise.all(
    adapted.controlnets.map(async (each) => ({
      name: each.component.name,
      ...(await patchedFiles(each, target)),
    })),
  );
  const processor = await preprocessor(adapted);
  const made = [
    ...unet.files,
    ...controlnets.flatMap(({ files }) => files),
    ...(await projections(adapted)),
    ...(await added(newEncoders.flatMap((encoder, i) => inFolder(encoderFolder(i), encoderFiles(encoder))))),
    ...processor,
    json(MODEL_INDEX, 'rewritten', newIndex(adapted, processor.length > 0)),
    json(ADAPTATION_FILE, 'added', adaptation),
  ];
  const names = new Set(made.map(({ name }) => name));
  const isReplaced = (name: string) =>
    newEncoders.length > 0 && new RegExp(`^${IMAGE_ENCODER}(_\\d+)?/`).test(name);
  const copied = (await filesBelow(folder.path))
    .filter(({ name }) => !names.has(name) && !isReplaced(name))
    .map(({ name, path, size }) => ({ name, action: 'copied', content: { copyOf: path, size } }) as const);
  const opened = [adapted.unet, ...adapted.controlnets].flatMap(({ patched }) => patched.opened.files);
  return {
    files: [...copied, ...made].sort((a, b) => (a.name < b.name ? -1 : 1)),
    inputs: [
      ...opened,
      ...newEncoders.flatMap(({ model }) => model.files),
      ...checkpointsOf(adapters),
      ...(await Promise.all(copied.map(({ content }) => inputFile(content.copyOf)))),
    ],
    unet: unet.report,
    controlnets: controlnets.map(({ name, report }) => ({ name, report })),
  };
}

/** A patched model with its data files, under the names that the base's have. */
async function patchedFiles(
  { component, patched }: PatchedComponent,
  target: string,
): Promise<{ files: PlannedFile[]; report: CompileReport }> {
  const { files, written } = await planOutput(patched, join(target, modelFile(component)), 'copy');
  return {
    files: files.map(({ path, content }) => ({
      name: relative(target, path),
      action: 'copyOf' in content ? 'copied' : 'patched',
      content,
    })),
    report: reportOf(patched, written),
  };
}

/** The image projections, and the models of keys and values where the UNet takes those. */
async function projections({ adapters, adaptation, unet }: AdaptedFolder): Promise<PlannedFile[]> {
  const models = adaptation.tokens === 'embeds' ? [] : await Promise.all(adapters.map(projectionModel));
  const hoisted = await hoistedModels(unet.patched);
  return [
    ...models.map((content, i) => ({ name: projectionFile(i), action: 'added' as const, content })),
    ...hoisted.map((content, i) => ({ name: keysAndValuesFile(i), action: 'added' as const, content })),
  ];
}

/** Where the folder has no image processor: the one that lies with its encoder, or CLIP's own for images of the encoder's size. */
async function preprocessor({ folder, encoder }: AdaptedFolder): Promise<PlannedFile[]> {
  if (encoder === null || folder.components.has(FEATURE_EXTRACTOR)) return [];
  const name = join(FEATURE_EXTRACTOR, PREPROCESSOR_FILE);
  const { component, config } = encoder;
  if (component.files.includes(PREPROCESSOR_FILE))
    return added([{ name, path: join(component.path, PREPROCESSOR_FILE) }]);
  const size = config?.imageSize ?? null;
  return size === null ? [] : [json(name, 'added', clipPreprocessor(size))];
}

/**
 * `model_index.json` with the encoder, its image processor, and a word of what wrote it: optimum and diffusers pass over names that begin
 * with an underscore, and give no pipeline a component that its class does not know.
 */
function newIndex(
  { folder: { index, classes, components }, encoder, adaptation }: AdaptedFolder,
  hasNewProcessor: boolean,
): JsonObject {
  const isOld = classes.get('unet')?.className === 'OnnxRuntimeModel';
  const encoderClass = isOld
    ? ['diffusers', 'OnnxRuntimeModel']
    : ['transformers', 'CLIPVisionModelWithProjection'];
  const hasProcessor = hasNewProcessor || (encoder !== null && components.has(FEATURE_EXTRACTOR));
  return {
    ...index,
    ...(encoder !== null && !classes.has(IMAGE_ENCODER) && { [IMAGE_ENCODER]: encoderClass }),
    ...(hasProcessor &&
      !classes.has(FEATURE_EXTRACTOR) && { [FEATURE_EXTRACTOR]: ['transformers', 'CLIPImageProcessor'] }),
    _ipgraft: { version: adaptation.ipgraft, adapters: adaptation.adapters.map(({ name }) => name) },
  };
}

function inFolder(folder: string, files: readonly { name: string; path: string }[]) {
  return files.map(({ name, path }) => ({ name: join(folder, name), path }));
}

function added(files: readonly { name: string; path: string }[]): Promise<PlannedFile[]> {
  return Promise.all(
    files.map(async ({ name, path }) => {
      const { size } = await stat(path);
      return { name, action: 'added', content: { copyOf: path, size } };
    }),
  );
}

function json(name: string, action: PlannedFile['action'], value: unknown): PlannedFile {
  return { name, action, content: Rope.ofText(`${JSON.stringify(value, null, 2)}\n`) };
}
