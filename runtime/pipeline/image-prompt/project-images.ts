import { IpgraftError } from '../../../compiler/errors.js';
import type { Values } from '../../session/session.js';
import type { RunOptions } from '../component-model.js';
import type { ImageProjectionFacts, Pipeline } from '../pipeline.js';
import { type Feeds, runComponent } from '../run-component.js';
import type { GraftedAdapter } from '../unet/graft.js';
import type { ImageEmbeds } from './encode-images.js';

/** What one adapter takes for one row of the UNet, with images and for the unconditional row. */
export interface ImageRow {
  /** Tokens [1, images · T, C], keys and values [1, images · T, W], or embeddings [1, E], [1, images, E] or [1, images, N, E]. */
  readonly image: Values;
  readonly negative: Values;
  /** [1, F] or [1, images, F], where the UNet takes face embeddings itself. */
  readonly face: Values | null;
}

/**
 * Makes of the images' embeddings what the UNet takes. As many as the adapter reads, or so many that copies make it up: n copies of one image
 * are the image.
 * @throws IpgraftError `PIPELINE_IMAGE_PROMPT` where their number does not fit, and as the projection
 */
export async function imageRow(
  pipeline: Pipeline,
  adapter: GraftedAdapter,
  { projection, keysAndValues }: ImageProjectionFacts,
  embeds: ImageEmbeds,
  options: RunOptions = {},
): Promise<ImageRow> {
  const fitted = {
    image: repeated(embeds.image, adapter),
    negative: repeated(embeds.negative, adapter),
    face: embeds.face && repeated(embeds.face, adapter),
  };
  const none = fitted.face && { dims: fitted.face.dims, data: new Float32Array(fitted.face.data.length) };
  const row = async (image: Values, face: Values | null): Promise<Values> => {
    const made = projection === null ? asRow(image) : await projected(projection, image, face);
    if (keysAndValues === null) return made;
    const ofFace = projection === null && face !== null ? { id_embeds: asRow(face) } : {};
    const read = projection === null ? { image_embeds: made, ...ofFace } : { ip_hidden_states: made };
    return only(keysAndValues, read);
  };
  const projected = async (model: string, image: Values, face: Values | null): Promise<Values> => {
    const { dims, data } = await only(model, { image_embeds: image, ...(face && { id_embeds: face }) });
    return { dims: [1, dims[0]! * dims[1]!, dims[2]!], data };
  };
  /** The only output of a model. */
  const only = async (model: string, feeds: Feeds): Promise<Values> => {
    const outputs = await runComponent(await pipeline.models.load(model), feeds, options);
    return outputs.values().next().value!;
  };
  return {
    image: await row(fitted.image, fitted.face),
    negative: await row(fitted.negative, none),
    face: projection === null && keysAndValues === null ? fitted.face && asRow(fitted.face) : null,
  };
}

function repeated(embeds: Values, { name, images }: GraftedAdapter): Values {
  const given = embeds.dims[0]!;
  if (given === 0 || images % given !== 0)
    throw new IpgraftError(
      'PIPELINE_IMAGE_PROMPT',
      `${name}: sought ${images} image${images === 1 ? '' : 's'}, found ${given}`,
      { adapter: name, sought: images, found: given },
    );
  if (given === images) return embeds;
  const data = new Float32Array((embeds.data.length / given) * images);
  for (let filled = 0; filled < data.length; filled += embeds.data.length) data.set(embeds.data, filled);
  return { dims: [images, ...embeds.dims.slice(1)], data };
}

/** [1, E] of one image, [1, n, E] of several. */
function asRow({ dims, data }: Values): Values {
  return { dims: dims[0] === 1 ? dims : [1, ...dims], data };
}
