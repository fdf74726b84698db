import * as z from 'zod/mini';
import { folderFault, type JsonObject } from './inside.js';

/** What says which pipeline a folder is. */
export const MODEL_INDEX = 'model_index.json';

/** Which class of which library a component is. */
export interface ComponentClass {
  /** `diffusers`, `transformers`, `onnxruntime`, …. */
  readonly library: string;
  /** `UNet2DConditionModel`, `CLIPTokenizer`, …. */
  readonly className: string;
}

const className = z.object({ _class_name: z.string().check(z.minLength(1)) });
const component = z.tuple([z.string(), z.string()]);

/**
 * The pipeline's class and its components in `model_index.json`. A component is `[library, class]`, or `[null, null]` where there is none;
 * names with an underscore in front and other values are settings.
 * @throws IpgraftError `MODEL_FOLDER_FILE`
 */
export function readModelIndex(index: JsonObject): {
  className: string;
  classes: ReadonlyMap<string, ComponentClass>;
} {
  const found = className.safeParse(index);
  if (!found.success) throw folderFault(MODEL_INDEX, 'sought _class_name, the class of the pipeline');
  const classes = new Map<string, ComponentClass>();
  for (const [name, value] of Object.entries(index)) {
    const listed = name.startsWith('_') ? undefined : component.safeParse(value).data;
    if (listed !== undefined) classes.set(name, { library: listed[0], className: listed[1] });
  }
  return { className: found.data._class_name, classes };
}
