import { decodeFloats, floatTypeOf } from '../../../compiler/checkpoint/number-format.js';
import { openCheckpoint } from '../../../compiler/checkpoint/open-checkpoint.js';
import { IpgraftError } from '../../../compiler/errors.js';
import { openSource } from '../../open.js';
import type { Values } from '../../session/session.js';
import type { AdapterPrompt } from '../request.js';

/**
 * Reads what an image encoder gave for an adapter: `image_embeds` [1, images, E] or [1, images, N, E], where it was kept
 * `negative_image_embeds` of the same shape, and `id_embeds` [1, images, F] for adapters that read faces.
 * @throws IpgraftError `PIPELINE_IMAGE_PROMPT` for a file without them or of other shapes, `ADAPTER_*` for one that is no safetensors
 */
export async function readEmbeds(path: string): Promise<NonNullable<AdapterPrompt['embeds']>> {
  const { source } = await openSource(path);
  try {
    const { tensors } = await openCheckpoint(source);
    const read = async (name: string): Promise<Values | undefined> => {
      const tensor = tensors.get(name);
      if (tensor === undefined) return undefined;
      const { shape } = tensor;
      if (shape[0] !== 1 || shape.length < 3 || shape.includes(0))
        throw refusal(source.name, `${name} [1, images, …]`, `[${shape.join(', ')}]`);
      const bytes = await tensor.read();
      return { dims: shape.slice(1), data: decodeFloats(bytes, floatTypeOf(tensor.dtype, name)).slice() };
    };
    const [image, negative, face] = [
      await read('image_embeds'),
      await read('negative_image_embeds'),
      await read('id_embeds'),
    ];
    if (image === undefined)
      throw refusal(
        source.name,
        'the tensor image_embeds',
        [...tensors.keys()].slice(0, 8).join(', ') || 'none',
      );
    return { image, ...(negative && { negative }), ...(face && { face }) };
  } finally {
    await source.close();
  }
}

function refusal(file: string, sought: string, found: string): IpgraftError {
  return new IpgraftError('PIPELINE_IMAGE_PROMPT', `${file}: sought ${sought}, found ${found}`, {
    file,
    sought,
    found,
  });
}
