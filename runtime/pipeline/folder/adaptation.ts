import * as z from 'zod/mini';
import { folderFault, type JsonObject } from './inside.js';

/** What says that a pipeline's folder was adapted, and how. */
export const ADAPTATION_FILE = 'ipgraft.json';

/** What a later version must raise when a reader of this one would misunderstand it. */
export const ADAPTATION_FORMAT = 1;

/** An image encoder, as an adapter wants it. */
export interface EncoderWanted {
  /** `pooled`: its `image_embeds`; `hidden`: its last but one hidden states. */
  readonly reads: 'pooled' | 'hidden';
  /** Of that. */
  readonly width: number;
  /** Its name, where a published adapter reads the like; `null` otherwise. */
  readonly encoder: string | null;
}

/** An image encoder in the folder. */
export interface EncoderFound {
  /** A path below the folder. */
  readonly model: string;
  /** The output that the adapter reads. */
  readonly output: string;
}

/** One adapter of an adapted pipeline. */
export interface AdaptedAdapter {
  /** Of its file. */
  readonly name: string;
  /** SHA-256 of its file. */
  readonly sha256: string;
  /** How it makes image tokens: `base`, `plus`, `full-face`, `faceid`, `faceid-plus`. */
  readonly family: string;
  /** Image tokens per image. */
  readonly tokens: number;
  /** How many images it reads. */
  readonly images: number;
  /** Its image projection, a path below the folder; `null` where the UNet has it inside. */
  readonly projection: string | null;
  /** The model that computes its keys and values (`--hoist`), a path below the folder; `null` where the UNet does. */
  readonly keysAndValues: string | null;
  /** What it reads of an image encoder; `null` for one that reads a face embedding alone. */
  readonly wants: EncoderWanted | null;
  /** The image encoder that gives this; `null` where the folder has none, or none is wanted. */
  readonly encoder: EncoderFound | null;
  /** Width of the face embedding that it reads; `null` where it reads none. */
  readonly faceWidth: number | null;
}

/** An adapted pipeline as its `ipgraft.json` says it. */
export interface Adaptation {
  /** Of this file: 1. */
  readonly format: number;
  /** Version of ipgraft. */
  readonly ipgraft: string;
  /** In the order in which their tokens follow the text. */
  readonly adapters: readonly AdaptedAdapter[];
  /** Where the UNet's image tokens come from: behind the text, an input of their own, or `image_embeds`. */
  readonly tokens: 'split' | 'input' | 'embeds';
  /** As it was asked for: `input`, `layers`, `rows`, `optional=N`, a number or JSON. */
  readonly scale: string;
  /** The patched UNet, a path below the folder. */
  readonly unet: string;
  /** ControlNets that take the image tokens behind the text and leave them unused: paths below the folder. */
  readonly controlnets: readonly string[];
}

const below = z.string().check(z.regex(/^(?!\.\.?(\/|$))[^/\\\0]+(\/(?!\.\.?(\/|$))[^/\\\0]+)*$/));
const count = z.int().check(z.positive());
const schema = z.object({
  format: z.literal(ADAPTATION_FORMAT),
  ipgraft: z.string(),
  adapters: z
    .array(
      z.object({
        name: z.string(),
        sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
        family: z.string(),
        tokens: count,
        images: count,
        projection: z.nullable(below),
        keysAndValues: z.nullable(below),
        encoder: z.nullable(z.object({ model: below, output: z.string() })),
        wants: z.nullable(
          z.object({
            reads: z.enum(['pooled', 'hidden']),
            width: count,
            encoder: z.nullable(z.string()),
          }),
        ),
        faceWidth: z.nullable(count),
      }),
    )
    .check(z.minLength(1)),
  tokens: z.enum(['split', 'input', 'embeds']),
  scale: z.string(),
  unet: below,
  controlnets: z.array(below),
});

/** Reads an `ipgraft.json`. @throws IpgraftError `MODEL_FOLDER_FILE` */
export function readAdaptation(value: JsonObject): Adaptation {
  const found = schema.safeParse(value);
  if (found.success) return found.data;
  const [first] = found.error.issues;
  throw folderFault(ADAPTATION_FILE, `${first!.path.join('.')}: ${first!.message}`);
}
