import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { IpgraftError } from '../../compiler/errors.js';
import { adapterSuffix } from '../../passes/names.js';
import { hoistedPath } from '../hoist.js';
import type { ComponentModel, ComponentModels } from './component-model.js';
import type { AdaptedAdapter } from './folder/adaptation.js';
import { type Component, requiredComponent, requiredModel } from './folder/component.js';
import { unetConfig, type VaeConfig, vaeConfig } from './folder/component-config.js';
import { entryAt, folderFault, readJson } from './folder/inside.js';
import type { PipelineFolder } from './folder/pipeline-folder.js';
import type { ImageProjectionFacts, Pipeline, UnetFacts } from './pipeline.js';
import { readSchedulerConfig } from './schedulers/config.js';
import { type ClipTokenizer, clipTokenizer } from './text/clip-tokenizer.js';
import { type Graft, type GraftedAdapter, readGraft } from './unet/graft.js';

/** Loads a model file: in this process, or in others. */
export type ModelLoader = (path: string) => Promise<ComponentModel>;

/** What a folder that was not adapted does not say. */
export interface PipelineOptions {
  /** Files of the adapters' image projections, as `ipgraft project` writes them, in the order of the adapters. */
  readonly projections?: readonly string[];
}

/** A vocabulary has a megabyte, `tokenizer.json` a few. Bytes. */
const LONGEST_TOKENIZER_FILE = 32 * 1024 * 1024;

/** A VAE of an old export, which has no configuration, is SD1.x's. */
const OLD_VAE: VaeConfig = {
  scalingFactor: 0.18215,
  shiftFactor: null,
  latentsMean: null,
  latentsStd: null,
  latentChannels: 4,
  forceUpcast: true,
  pixelsPerLatent: 8,
};

/**
 * Makes a pipeline of a folder. Models are loaded when they are first needed, and kept.
 * @throws IpgraftError `MODEL_FOLDER_COMPONENT`, `MODEL_FOLDER_FILE`, `PIPELINE_TOKENIZER`, `OPTION_SCHEDULER`; and as {@link readGraft}
 */
export async function openPipeline(
  folder: PipelineFolder,
  load: ModelLoader,
  options: PipelineOptions = {},
): Promise<Pipeline> {
  const { components, adaptation, kind } = folder;
  const inFolder = (path: string | null) => (path === null ? null : join(folder.path, path));
  const unetPath = inFolder(adaptation?.unet ?? null) ?? requiredModel(components, 'unet').model;
  const graft = await readGraft(unetPath);
  const projections = (graft?.adapters ?? []).map((adapter, index) =>
    projectionOf(graft!, adapter, index, adaptation?.adapters[index]),
  );
  const paths = new Map<string, string>();
  for (const { name, model } of components.values()) if (model !== null) paths.set(name, model);
  paths.set('unet', unetPath);
  for (const [index, adapted] of (adaptation?.adapters ?? []).entries()) {
    const file = options.projections?.[index] ?? inFolder(adapted.projection);
    if (file !== null) paths.set(projectionName(index), file);
    if (adapted.keysAndValues !== null) paths.set(keysName(index), join(folder.path, adapted.keysAndValues));
    if (adapted.encoder !== null) paths.set(adapted.encoder.model, join(folder.path, adapted.encoder.model));
  }
  if (adaptation === null)
    for (const index of (graft?.adapters ?? []).keys()) {
      const file = options.projections?.[index];
      if (file !== undefined) paths.set(projectionName(index), file);
      if (graft!.hoist) paths.set(keysName(index), hoistedPath(unetPath, index));
    }
  const names = kind === 'sdxl' ? ['tokenizer', 'tokenizer_2'] : ['tokenizer'];
  const decoder = requiredModel(components, 'vae_decoder');
  return {
    kind,
    models: modelsAt(paths, load),
    tokenizers: await Promise.all(
      names.map((name) => tokenizerOf(folder, requiredComponent(components, name))),
    ),
    scheduler: readSchedulerConfig(requiredComponent(components, 'scheduler').config ?? {}),
    unet: unetFacts(components.get('unet')!, graft),
    vae: vaeConfig(decoder) ?? OLD_VAE,
    zerosForNoPrompt: folder.index.force_zeros_for_empty_prompt !== false,
    imageProcessor: components.get('feature_extractor')?.config ?? null,
    projections,
  };
}

function modelsAt(paths: ReadonlyMap<string, string>, load: ModelLoader): ComponentModels {
  const loaded = new Map<string, Promise<ComponentModel>>();
  return {
    has: (name) => paths.has(name),
    load(name) {
      const path = paths.get(name);
      if (path === undefined) {
        const found = [...paths.keys()];
        const message = `sought the model ${name} in the pipeline, found ${found.join(', ')}`;
        return Promise.reject(
          new IpgraftError('MODEL_FOLDER_COMPONENT', message, { component: name, found }),
        );
      }
      const model = loaded.get(name) ?? load(path);
      loaded.set(name, model);
      // What failed may be tried again.
      model.catch(() => loaded.delete(name));
      return model;
    },
  };
}

function unetFacts(component: Component, graft: Graft | null): UnetFacts {
  const config = unetConfig(component);
  const blocks = component.config?.block_out_channels;
  const halvings = Array.isArray(blocks) ? Math.max(blocks.length - 1, 0) : 3;
  return {
    inChannels: config?.inChannels ?? 4,
    sampleSize: config?.sampleSize ?? [64, 64],
    multiple: 2 ** halvings,
    timeCondWidth: config?.timeCondWidth ?? null,
    textInput: graft?.textInput ?? 'encoder_hidden_states',
    graft,
  };
}

/** What adapters of a family read of an image encoder. */
const READS: Readonly<Record<string, ImageProjectionFacts['reads']>> = {
  base: 'pooled',
  plus: 'hidden',
  'full-face': 'hidden',
  faceid: null,
  'faceid-plus': 'hidden',
};

function projectionOf(
  { tokens, hoist }: Graft,
  { family }: GraftedAdapter,
  index: number,
  adapted: AdaptedAdapter | undefined,
): ImageProjectionFacts {
  return {
    projection: tokens === 'embeds' ? null : projectionName(index),
    keysAndValues: hoist ? keysName(index) : null,
    reads: adapted === undefined ? (READS[family ?? 'base'] ?? null) : (adapted.wants?.reads ?? null),
    encoder: adapted?.encoder?.model ?? 'image_encoder',
    output: adapted?.encoder?.output ?? null,
  };
}

/** Where there is no such file, the first who needs it is told by this name. */
function projectionName(index: number): string {
  return `image projection${adapterSuffix(index)}`;
}

function keysName(index: number): string {
  return `image keys and values${adapterSuffix(index)}`;
}

async function tokenizerOf({ path }: PipelineFolder, component: Component): Promise<ClipTokenizer> {
  const { name, files, config } = component;
  const json = async (file: string) => (files.includes(file) ? parsed(path, join(name, file)) : undefined);
  const definition = await json('tokenizer.json');
  const needsVocabulary = definition === undefined;
  return clipTokenizer(
    {
      config: config ?? undefined,
      specialTokens: (await readJson(path, join(name, 'special_tokens_map.json'))) ?? undefined,
      definition,
      vocab: needsVocabulary ? await json('vocab.json') : undefined,
      ...(needsVocabulary &&
        files.includes('merges.txt') && { merges: await text(path, join(name, 'merges.txt')) }),
    },
    name,
  );
}

async function parsed(root: string, name: string): Promise<unknown> {
  try {
    return JSON.parse(await text(root, name));
  } catch (cause) {
    if (cause instanceof IpgraftError) throw cause;
    throw folderFault(name, 'it is no JSON', cause);
  }
}

async function text(root: string, name: string): Promise<string> {
  const entry = await entryAt(root, name);
  if (entry?.kind !== 'file' || entry.size > LONGEST_TOKENIZER_FILE)
    throw folderFault(name, `sought a file of ${LONGEST_TOKENIZER_FILE} bytes at most`);
  return readFile(entry.path, 'utf8').catch((cause) => {
    throw folderFault(basename(name), 'it cannot be read', cause);
  });
}
