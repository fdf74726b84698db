import { IpgraftError } from '../../compiler/errors.js';
import { readEmbeds } from '../pipeline/image-prompt/read-embeds.js';
import { readImage } from '../pipeline/images/decode-image.js';
import type { GraftedAdapter } from '../pipeline/unet/graft.js';
import { numberOf } from './number-option.js';

/** Options that say what the adapters of a UNet look at. */
export interface AdapterFlags {
  readonly image: readonly string[];
  readonly imageEmbeds: readonly string[];
  readonly imageMask: readonly string[];
  readonly scale: readonly string[];
  readonly start: readonly string[];
  readonly end: readonly string[];
}

/**
 * What each adapter is to look at, as a request has it, unchecked. Files go to the adapters in their order, as many as each reads, unless `2=FILE`
 * says to which one; an adapter that was given embeddings gets no other images. One scale, start or end is for all adapters.
 * @throws IpgraftError `OPTION_INVALID`, `OPTION_FILE_MISSING`, `PIPELINE_IMAGE`, and as {@link readEmbeds}
 */
export async function adapterPrompts(
  adapters: readonly GraftedAdapter[],
  flags: AdapterFlags,
): Promise<object[]> {
  const embeds = dealt(
    '--image-embeds',
    flags.imageEmbeds,
    adapters.map(() => 1),
  );
  const images = dealt(
    '--image',
    flags.image,
    adapters.map(({ images: count }, i) => (embeds[i]?.length ? 0 : count)),
  );
  const masks = dealt(
    '--image-mask',
    flags.imageMask,
    adapters.map(({ images: count }) => count),
  );
  const count = Math.max(embeds.length, images.length, masks.length, flags.scale.length, adapters.length);
  if (
    adapters.length === 0 &&
    flags.scale.length + flags.start.length + flags.end.length === 0 &&
    count === 0
  )
    return [];
  return Promise.all(
    Array.from({ length: count }, async (_, i) => ({
      images: await Promise.all((images[i] ?? []).map(readImage)),
      masks: await Promise.all((masks[i] ?? []).map(readImage)),
      ...(embeds[i]?.length && { embeds: await readEmbeds(embeds[i][0]!) }),
      ...given('scale', flags.scale, i, scaleOf),
      ...given('start', flags.start, i, (text) => numberOf('--start', text)),
      ...given('end', flags.end, i, (text) => numberOf('--end', text)),
    })),
  );
}

/** Files by adapter. Those without a number go where there is room; what is left over goes to the last one, whose number of images is then told. */
function dealt(option: string, values: readonly string[], room: readonly number[]): string[][] {
  const hands: string[][] = room.map(() => []);
  for (const value of values) {
    const [, numbered, file] = /^(?:(\d+)=)?(.+)$/s.exec(value) ?? [];
    const free = hands.findIndex((hand, i) => hand.length < room[i]!);
    const last = Math.max(hands.length - 1, 0);
    const index = numbered === undefined ? (free === -1 ? last : free) : Number(numbered) - 1;
    if (file === undefined || index < 0 || index >= Math.max(hands.length, 1))
      throw new IpgraftError('OPTION_INVALID', `${option} ${value}: sought one of ${hands.length} adapters`);
    hands[index] = [...(hands[index] ?? []), file];
  }
  return hands;
}

function given<T>(name: string, values: readonly string[], index: number, parse: (text: string) => T) {
  const text = values.length === 1 ? values[0] : values[index];
  return text === undefined ? {} : { [name]: parse(text) };
}

/** A number; or JSON: a number for each layer, or diffusers' dictionary. */
function scaleOf(text: string): unknown {
  if (!/^\s*[{[]/.test(text)) return numberOf('--scale', text);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new IpgraftError(
      'OPTION_INVALID',
      `--scale ${text}: sought a number, or JSON with one per layer or block`,
      {},
      { cause },
    );
  }
}
