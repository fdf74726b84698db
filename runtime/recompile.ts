import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import { batchModel } from './batch.js';
import { type CompileOptions, compile } from './compile.js';
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
): Promise<Graph> {
  const stamp = readStamp(patched);
  const { batched, ...options } = stamp['ipgraft.options'];
  const given = withAdapters(stamp, adapters);
  const { graph } =
    Object.keys(options).length === 0
      ? base
      : await compile(base, {
          // What was not given is not there: zod says `undefined`.
          ...(JSON.parse(JSON.stringify(options)) as CompileOptions),
          ...given,
          textInput: stamp['ipgraft.input'],
        });
  return batched ? batchModel({ ...base, graph }).graph : graph;
}

function withAdapters(
  { 'ipgraft.adapters': stamped, 'ipgraft.options': options }: ReadStamp,
  adapters: readonly OpenedAdapter[],
): Pick<CompileOptions, 'adapters' | 'images' | 'initFromText'> {
  const taken = !('tokens' in options) ? 0 : stamped.filter(({ family }) => family !== undefined).length;
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
  return !('tokens' in options) ? {} : { initFromText: { tokens: stamped[0]!.tokens } };
}
