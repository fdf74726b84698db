import { readdir, realpath } from 'node:fs/promises';
import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import { ADAPTATION_FILE, type Adaptation, readAdaptation } from './adaptation.js';
import { type Component, readComponent } from './component.js';
import { type JsonObject, readJson } from './inside.js';
import { type ComponentClass, MODEL_INDEX, readModelIndex } from './model-index.js';

/** A Stable Diffusion pipeline exported to ONNX, as its folder says it. */
export interface PipelineFolder {
  /** Links resolved. */
  readonly path: string;
  /** The pipeline's class in `model_index.json`: `StableDiffusionPipeline`, `OnnxStableDiffusionPipeline`, …. */
  readonly className: string;
  /**
   * What `model_index.json` lists, by name, without what it lists as absent. optimum's folders list a `vae`, and have a `vae_encoder` and a
   * `vae_decoder`.
   */
  readonly classes: ReadonlyMap<string, ComponentClass>;
  /** `model_index.json` as it stands there. */
  readonly index: JsonObject;
  /** `sdxl` where the UNet takes `text_embeds` and `time_ids` beside the text states, which then are those of two encoders. */
  readonly kind: 'sd' | 'sdxl';
  /** What is really there, by the name of its folder. */
  readonly components: ReadonlyMap<string, Component>;
  /** What `ipgraft adapt` did to it; `null` for a folder as it was exported. */
  readonly adaptation: Adaptation | null;
}

/**
 * Reads the folder of an ONNX pipeline as optimum-onnx and diffusers lay it out: names and configurations, no model. What a caller needs
 * of it, {@link requiredModel} gives or refuses by name.
 *
 * Source: `ORTDiffusionPipeline.from_pretrained` of optimum-onnx, `OnnxStableDiffusionPipeline` of diffusers.
 * @throws IpgraftError `OPTION_FILE_MISSING` when there is no such folder, `MODEL_FOLDER` when it is no pipeline's, `MODEL_FOLDER_FILE`
 *   for a file in it that is not what it must be, `MODEL_FOLDER_ESCAPES` for a link that leads out of it
 */
export async function readPipelineFolder(folder: string): Promise<PipelineFolder> {
  const { path, names } = await listed(folder);
  const index = await readJson(path, MODEL_INDEX);
  if (index === null) {
    const name = printable(folder);
    throw new IpgraftError('MODEL_FOLDER', `${name}: sought ${MODEL_INDEX} in it, found no such file`, {
      folder: name,
    });
  }
  const { className, classes } = readModelIndex(index);
  const found = await Promise.all(names.map((name) => readComponent(path, name)));
  const components = new Map(found.flatMap((each) => (each === null ? [] : [[each.name, each]])));
  const adaptation = await readJson(path, ADAPTATION_FILE);
  return {
    path,
    className,
    classes,
    index,
    kind: isXl(classes, components) ? 'sdxl' : 'sd',
    components,
    adaptation: adaptation && readAdaptation(adaptation),
  };
}

/** The folder with links resolved, and the names in it that may be components. */
async function listed(folder: string): Promise<{ path: string; names: string[] }> {
  try {
    const path = await realpath(folder);
    const names = await readdir(path);
    return { path, names: names.filter((name) => !name.startsWith('.')).sort() };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such folder' : code === 'ENOTDIR' ? 'it is no folder' : code;
    const file = printable(folder);
    throw new IpgraftError('OPTION_FILE_MISSING', `${file} cannot be read: ${why}`, { file }, { cause });
  }
}

/** The UNet's own word comes first; old exports have no configuration that says it. */
function isXl(
  classes: ReadonlyMap<string, ComponentClass>,
  components: ReadonlyMap<string, Component>,
): boolean {
  const config = components.get('unet')?.config;
  if (config && 'addition_embed_type' in config) return config.addition_embed_type === 'text_time';
  return classes.has('text_encoder_2') || components.has('text_encoder_2');
}
