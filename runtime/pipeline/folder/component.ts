import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import { entryAt, folderFault, type JsonObject, readJson } from './inside.js';

/** One folder of a pipeline: `unet`, `vae_decoder`, `tokenizer`, `scheduler`, …. */
export interface Component {
  /** Of its folder. */
  readonly name: string;
  /** Its folder, links resolved. */
  readonly path: string;
  /** Its ONNX file; `null` for what is no model. */
  readonly model: string | null;
  /** Names of what is in its folder, sorted. */
  readonly files: readonly string[];
  /** Its configuration as it stands there: hostile until checked, and `null` where there is none, as in old exports. */
  readonly config: JsonObject | null;
}

/** A component whose model is sure to be there. */
export interface ModelComponent extends Component {
  readonly model: string;
}

/** What a component's ONNX file is called by optimum and diffusers. */
export const MODEL_FILE = 'model.onnx';

/** What holds a component's configuration, by what it is: a model, a scheduler, an image processor, a tokenizer. */
const CONFIG_FILES = [
  'config.json',
  'scheduler_config.json',
  'preprocessor_config.json',
  'tokenizer_config.json',
] as const;

/**
 * The component in folder `name` below `root`; `null` where there is no such folder.
 * @throws IpgraftError `MODEL_FOLDER_FILE`, `MODEL_FOLDER_ESCAPES`
 */
export async function readComponent(root: string, name: string): Promise<Component | null> {
  const entry = await entryAt(root, name);
  if (entry?.kind !== 'folder') return null;
  const files = (await readdir(entry.path)).sort();
  const configFile = CONFIG_FILES.find((file) => files.includes(file));
  return {
    name,
    path: entry.path,
    model: await modelOf(root, name, files),
    files,
    config: configFile === undefined ? null : await readJson(root, join(name, configFile)),
  };
}

/** `model.onnx`, or the only ONNX file that there is. */
async function modelOf(root: string, name: string, files: readonly string[]): Promise<string | null> {
  const models = files.filter((file) => file.endsWith('.onnx'));
  const chosen = models.includes(MODEL_FILE) ? MODEL_FILE : models[0];
  if (chosen === undefined) return null;
  if (chosen !== MODEL_FILE && models.length > 1)
    throw folderFault(name, `sought ${MODEL_FILE}, found ${models.slice(0, 4).map(printable).join(', ')}`);
  const entry = await entryAt(root, join(name, chosen));
  // The name in the folder, not where a link leads: external data lies beside the name.
  if (entry?.kind === 'file') return join(root, name, chosen);
  throw folderFault(join(name, chosen), 'sought a file');
}

/**
 * A component that must be there with its ONNX file.
 * @throws IpgraftError `MODEL_FOLDER_COMPONENT` that names it
 */
export function requiredModel(components: ReadonlyMap<string, Component>, name: string): ModelComponent {
  const component = requiredComponent(components, name);
  if (component.model !== null) return { ...component, model: component.model };
  throw missing(name, `${name}/${MODEL_FILE}`, component.files);
}

/**
 * A component that must be there.
 * @throws IpgraftError `MODEL_FOLDER_COMPONENT` that names it
 */
export function requiredComponent(components: ReadonlyMap<string, Component>, name: string): Component {
  const component = components.get(name);
  if (component !== undefined) return component;
  throw missing(name, `the folder ${name}`, [...components.keys()]);
}

function missing(name: string, sought: string, found: readonly string[]): IpgraftError {
  const names = found.slice(0, 12).map(printable);
  return new IpgraftError(
    'MODEL_FOLDER_COMPONENT',
    `sought ${sought} in the pipeline, found ${names.join(', ') || 'nothing'}`,
    { component: name, found: names },
  );
}
