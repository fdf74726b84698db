import * as z from 'zod/mini';
import { IpgraftError } from './errors.js';

const schema = z.discriminatedUnion('isBase', [
  /** `sample` is what `sampleWeights` gives for the base file. */
  z.strictObject({ location: z.string(), isBase: z.literal(true), sample: z.string() }),
  z.strictObject({ location: z.string(), isBase: z.literal(false) }),
]);

/** The file in which a patched model names large weights that its base carried: the base file itself, or a new one. */
export type WeightsPlace = z.infer<typeof schema>;

/** Reads a place from the metadata of a file that may be anybody's. @throws IpgraftError `EDIT_JOURNAL_MALFORMED` */
export function parseWeightsPlace(json: string): WeightsPlace {
  try {
    return schema.parse(JSON.parse(json));
  } catch (cause) {
    throw new IpgraftError(
      'EDIT_JOURNAL_MALFORMED',
      'sought where the weights lie in the model metadata, found something else',
      {},
      { cause },
    );
  }
}
