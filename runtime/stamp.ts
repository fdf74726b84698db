import * as z from 'zod/mini';
import { IpgraftError } from '../compiler/errors.js';
import type { Model } from '../compiler/onnx/read-model.js';
import type { Adapter } from '../passes/adapter/adapter.js';
import { EMBEDS_SCALINGS } from '../passes/embeds-scaling.js';
import { WEIGHT_TYPES } from '../passes/weight-types.js';

const count = z.int().check(z.positive());

/** Whether every input was given a batch in front. */
const batched = z._default(z.boolean(), false);

const stampSchema = z.object({
  /** The text input; empty where nothing was grafted. */
  'ipgraft.input': z._default(z.string(), ''),
  'ipgraft.base': z.string(),
  'ipgraft.adapters': json(
    z.array(
      z.object({
        name: z.string(),
        tokens: count,
        images: z._default(count, 1),
        family: z.optional(z.string()),
        /** Of FaceID-Plus: how strongly the features' tokens are added, `null` for version 1. */
        shortcut: z.optional(z.nullable(z.number())),
        sha256: z.optional(z.string()),
      }),
    ),
  ),
  'ipgraft.options': json(
    z.union([
      z.object({
        tokens: z.enum(['split', 'input', 'embeds']),
        scale: z.string(),
        hoist: z._default(z.boolean(), false),
        masks: z._default(z.boolean(), false),
        loraScale: z.optional(z.number()),
        embedsScaling: z._default(z.enum(EMBEDS_SCALINGS), 'v'),
        weightType: z.optional(
          z.object({
            name: z.enum(WEIGHT_TYPES),
            composition: z.optional(z.number()),
            boost: z.optional(z.number()),
          }),
        ),
        /** Which scopes were patched, where it was not every `attn2`. */
        patterns: z._default(z.array(z.string()), []),
        batched,
      }),
      z.object({ dropImageTokens: count, patterns: z._default(z.array(z.string()), []), batched }),
      /** Nothing was grafted: a base of which every input was given a batch. */
      z.object({ batched: z.literal(true) }),
    ]),
  ),
});

/** What a patched model says about its making. */
export type ReadStamp = z.infer<typeof stampSchema>;

/** An adapter as a compilation takes it. */
interface StampedAdapter {
  readonly name: string;
  readonly tokens: number;
  readonly images: number;
  readonly adapter: Adapter | null;
}

/** What a patched model says of its adapters, as text. */
export function adaptersStamp(adapters: readonly StampedAdapter[]): string {
  return JSON.stringify(
    adapters.map(({ name, tokens, images, adapter }) => ({
      name,
      tokens,
      ...(images > 1 && { images }),
      ...(adapter && { family: adapter.projection.family, sha256: adapter.sha256 }),
      ...(adapter?.projection.family === 'faceid-plus' && { shortcut: adapter.projection.shortcut }),
    })),
  );
}

/** Reads the metadata that a compilation left. @throws IpgraftError `MODEL_NOT_PATCHED` */
export function readStamp({ graph, source }: Model): ReadStamp {
  const found = stampSchema.safeParse(Object.fromEntries(graph.metadata));
  if (found.success) return found.data;
  const [first] = found.error.issues;
  throw new IpgraftError(
    'MODEL_NOT_PATCHED',
    `${source.name}: sought the metadata of a compilation, found none that can be read (${first!.path.join('.')}: ${first!.message})`,
    { file: source.name },
  );
}

function json<T extends z.ZodMiniType>(schema: T) {
  const parsed = z.transform((text: string, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.issues.push({ code: 'custom', message: 'no JSON', input: text });
      return z.NEVER;
    }
  });
  return z.pipe(z.pipe(z.string(), parsed), schema);
}
