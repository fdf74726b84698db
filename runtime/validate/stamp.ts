import { z } from 'zod';
import { IpgraftError } from '../../compiler/errors.js';
import type { Model } from '../../compiler/onnx/read-model.js';

const stampSchema = z.object({
  /** The text input. */
  'ipgraft.input': z.string(),
  'ipgraft.base': z.string(),
  'ipgraft.adapters': json(
    z.array(
      z.object({ name: z.string(), tokens: z.int().positive(), images: z.int().positive().default(1) }),
    ),
  ),
  'ipgraft.options': json(
    z.union([
      z.object({ tokens: z.enum(['split', 'input', 'embeds']), scale: z.string() }),
      z.object({ dropImageTokens: z.int().positive() }),
    ]),
  ),
});

/** What a patched model says about its making. */
export type ReadStamp = z.infer<typeof stampSchema>;

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

function json<T extends z.ZodType>(schema: T) {
  return z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: 'custom', message: 'no JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);
}
