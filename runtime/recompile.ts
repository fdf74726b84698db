import { IpgraftError } from '../compiler/errors.js';
import { type CompileOptions, compile, type PatchedModel } from './compile.js';
import type { OpenedAdapter, OpenedModel } from './open.js';
import { type ReadStamp, readStamp } from './stamp.js';

/**
 * Compiles a base again as a patched model says it was compiled, with the same adapters: what the patched model must be.
 * @throws IpgraftError `MODEL_NOT_PATCHED`, `OPTION_INVALID`, and as {@link compile}
 */
export async function recompile(
  base: OpenedModel,
  patched: OpenedModel,
  adapters: readonly OpenedAdapter[],
): Promise<PatchedModel> {
  const stamp = readStamp(patched);
  return compile(base, {
    ...stampedOptions(stamp),
    ...withAdapters(stamp, adapters),
    textInput: stamp['ipgraft.input'],
  });
}

function stampedOptions({ 'ipgraft.options': options }: ReadStamp): CompileOptions {
  // What was not given is not there: zod says `undefined`.
  return JSON.parse(JSON.stringify(options)) as CompileOptions;
}

function withAdapters(
  { 'ipgraft.adapters': stamped, 'ipgraft.options': options }: ReadStamp,
  adapters: readonly OpenedAdapter[],
): Pick<CompileOptions, 'adapters' | 'images' | 'initFromText'> {
  const taken =
    'dropImageTokens' in options ? 0 : stamped.filter(({ family }) => family !== undefined).length;
  if (adapters.length !== taken) {
    throw new IpgraftError(
      'OPTION_INVALID',
      `the model was compiled with ${taken} adapters, ${adapters.length} were given`,
      { sought: taken, found: adapters.length },
    );
  }
  if (taken > 0) {
    return {
      images: stamped.map(({ images }) => images),
      adapters: adapters.map((adapter, i) => {
        const { shortcut } = stamped[i]!;
        const { projection } = adapter;
        if (projection.family !== 'faceid-plus' || shortcut === undefined) return adapter;
        return { ...adapter, projection: { ...projection, shortcut } };
      }),
    };
  }
  return 'dropImageTokens' in options ? {} : { initFromText: { tokens: stamped[0]!.tokens } };
}
