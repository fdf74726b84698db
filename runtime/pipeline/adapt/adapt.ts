import { basename, join } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { encoderOf } from '../../../passes/adapter/encoder.js';
import { adapterSuffix } from '../../../passes/names.js';
import { type CompileOptions, compile, type PatchedModel } from '../../compile.js';
import { type OpenedAdapter, type OpenedModel, openModel } from '../../open.js';
import { VERSION } from '../../version.js';
import { ADAPTATION_FORMAT, type Adaptation } from '../folder/adaptation.js';
import { MODEL_FILE, type ModelComponent, requiredModel } from '../folder/component.js';
import { folderFault } from '../folder/inside.js';
import type { PipelineFolder } from '../folder/pipeline-folder.js';
import {
  type EncoderUse,
  encoderComponent,
  encodersFor,
  encoderWanted,
  type OpenedEncoder,
  openEncoder,
  refuseIdleEncoders,
} from './image-encoder.js';

/** How to adapt a folder: as a compilation of its UNet. */
export interface AdaptOptions extends Omit<CompileOptions, 'adapters' | 'initFromText' | 'dropImageTokens'> {
  /** Folders or ONNX files of image encoders, which take the place of the folder's own. */
  readonly imageEncoders?: readonly string[];
}

/** A ControlNet or UNet of the folder, patched. */
export interface PatchedComponent {
  readonly component: ModelComponent;
  readonly patched: PatchedModel;
}

/** An adapted folder that is not written yet. */
export interface AdaptedFolder {
  readonly folder: PipelineFolder;
  readonly adapters: readonly OpenedAdapter[];
  readonly unet: PatchedComponent;
  readonly controlnets: readonly PatchedComponent[];
  /** Encoders that come into the folder in the place of its own, in the order of their names: `image_encoder`, `image_encoder_2`, …. */
  readonly newEncoders: readonly OpenedEncoder[];
  /** The image encoder that the folder has afterwards; `null` where it has none. */
  readonly encoder: OpenedEncoder | null;
  readonly adaptation: Adaptation;
  /** What the user should know. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** What the folder of an image encoder is called. */
export const IMAGE_ENCODER = 'image_encoder';

/** ControlNets by the names that diffusers gives them: `controlnet`, `controlnet_1`, …. */
const CONTROLNET = /^controlnet(_\d+)?$/;

/**
 * Grafts adapters into the UNet of a whole pipeline, makes its ControlNets leave the image tokens alone, and holds its image encoder against
 * what the adapters read. Nothing is written, no weight is read. The adapters stay the caller's to close.
 * @throws IpgraftError as {@link compile}; `MODEL_ALREADY_PATCHED`, `MODEL_FOLDER_*`, `ADAPTER_ENCODER`
 */
export async function adapt(
  folder: PipelineFolder,
  adapters: readonly OpenedAdapter[],
  options: AdaptOptions = {},
): Promise<AdaptedFolder> {
  refuseAdapted(folder);
  const models: OpenedModel[] = [];
  const close = async () => void (await Promise.all(models.map((model) => model.close())));
  const open = async (component: ModelComponent) => {
    const model = await openModel(component.model);
    models.push(model);
    return model;
  };
  try {
    const { imageEncoders = [], ...compileOptions } = options;
    const component = requiredModel(folder.components, 'unet');
    const patched = await compile(await open(component), { ...compileOptions, adapters });
    const unet = { component, patched };
    const controlnets = await patchControlnets(folder, patched, open);
    const encoders = await openEncoders(folder, imageEncoders, models);
    const uses = encodersFor(adapters, encoders);
    if (imageEncoders.length > 0) refuseIdleEncoders(encoders, uses);
    return {
      folder,
      adapters,
      unet,
      controlnets,
      newEncoders: imageEncoders.length > 0 ? encoders : [],
      encoder: encoders[0] ?? null,
      adaptation: adaptationOf(unet, controlnets, adapters, encoders, uses),
      notes: adapters.flatMap((adapter, i) => noteOf(adapter, uses[i]!)),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function refuseAdapted({ path, adaptation, components }: PipelineFolder): void {
  const file = basename(path);
  if (adaptation !== null) {
    throw new IpgraftError(
      'MODEL_ALREADY_PATCHED',
      `${file} is adapted already: its ipgraft.json names ${adaptation.adapters.map(({ name }) => name).join(', ')}`,
      { file },
      { hint: 'Start from the folder that it was made of.' },
    );
  }
  const taken = [...components.keys()].find((name) => /^image_(proj|kv)(_\d+)?$/.test(name));
  if (taken !== undefined)
    throw folderFault(taken, 'a folder of this name is to be written, and there is one');
}

async function patchControlnets(
  { components }: PipelineFolder,
  { plan, grafts }: PatchedModel,
  open: (component: ModelComponent) => Promise<OpenedModel>,
): Promise<PatchedComponent[]> {
  // Only with the text do image tokens reach a ControlNet.
  if (plan?.tokens !== 'split') return [];
  const dropImageTokens = grafts.reduce((sum, { tokens, images }) => sum + tokens * images, 0);
  const found: PatchedComponent[] = [];
  for (const [name, { model }] of components) {
    if (!CONTROLNET.test(name) || model === null) continue;
    const component = requiredModel(components, name);
    found.push({ component, patched: await compile(await open(component), { dropImageTokens }) });
  }
  return found;
}

/** Those that were given, or the folder's own. */
async function openEncoders(
  { components }: PipelineFolder,
  paths: readonly string[],
  models: OpenedModel[],
): Promise<OpenedEncoder[]> {
  const own = components.get(IMAGE_ENCODER);
  const ownModel = own !== undefined && own.model !== null ? [{ ...own, model: own.model }] : [];
  const found = paths.length > 0 ? await Promise.all(paths.map(encoderComponent)) : ownModel;
  const encoders: OpenedEncoder[] = [];
  for (const component of found) {
    const encoder = await openEncoder(component);
    models.push(encoder.model);
    encoders.push(encoder);
  }
  return encoders;
}

function adaptationOf(
  { component, patched }: PatchedComponent,
  controlnets: readonly PatchedComponent[],
  adapters: readonly OpenedAdapter[],
  encoders: readonly OpenedEncoder[],
  uses: readonly (EncoderUse | null)[],
): Adaptation {
  const { tokens, hoist } = patched.plan!;
  return {
    format: ADAPTATION_FORMAT,
    ipgraft: VERSION,
    adapters: adapters.map(({ name, sha256, projection }, i) => {
      const use = uses[i]!;
      return {
        name,
        sha256,
        family: projection.family,
        tokens: projection.tokens,
        images: patched.grafts[i]!.images,
        projection: tokens === 'embeds' ? null : projectionFile(i),
        keysAndValues: hoist ? keysAndValuesFile(i) : null,
        wants: encoderWanted(projection),
        encoder: use && {
          model: `${encoderFolder(encoders.indexOf(use.encoder))}/${basename(use.encoder.component.model)}`,
          output: use.output,
        },
        faceWidth: encoderWanted(projection) === null ? projection.embeddingWidth : projection.faceWidth,
      };
    }),
    tokens,
    scale: patched.options.scale ?? 'input',
    unet: modelFile(component),
    controlnets: controlnets.map((each) => modelFile(each.component)),
  };
}

/** The path of a component's model below the folder. */
export function modelFile({ name, model }: ModelComponent): string {
  return `${name}/${basename(model)}`;
}

/** Where the image projection of an adapter is written. */
export function projectionFile(adapter: number): string {
  return join(`image_proj${adapterSuffix(adapter)}`, MODEL_FILE);
}

/** Where the model of an adapter's keys and values is written. */
export function keysAndValuesFile(adapter: number): string {
  return join(`image_kv${adapterSuffix(adapter)}`, MODEL_FILE);
}

/** What the folder of an encoder is called among several. */
export function encoderFolder(index: number): string {
  return `${IMAGE_ENCODER}${adapterSuffix(index)}`;
}

function noteOf({ name, projection }: OpenedAdapter, use: EncoderUse | null): string[] {
  if (use !== null) return [];
  const encoder = encoderOf(projection);
  const wanted = encoderWanted(projection);
  const what = wanted ?? { reads: projection.reads, width: projection.embeddingWidth };
  const named = encoder === null ? '' : `: ${encoder.name}, published as ${encoder.published}`;
  if (wanted === null)
    return [`${name} reads a face embedding ${what.width} wide, which no model of the folder gives${named}.`];
  return [
    `The folder has no image encoder. ${name} reads ${what.reads === 'pooled' ? 'image_embeds' : 'the last but one hidden states'} ${what.width} wide${named}. Export it to ONNX and pass it with --image-encoder, or bring its output yourself.`,
  ];
}
