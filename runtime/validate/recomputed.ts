import { decodeFloats, encodeFloats } from '../../compiler/checkpoint/number-format.js';
import { IpgraftError } from '../../compiler/errors.js';
import { DATA_TYPE } from '../../compiler/onnx/data-type.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { Adapter } from '../../passes/adapter/adapter.js';
import type { OpenedModel } from '../open.js';
import type { Provider } from '../session/load-runtime.js';
import type { Values } from '../session/session.js';
import type { ReadStamp } from '../stamp.js';
import { checkHoistedModels } from './hoisted-model.js';
import type { ImageInputs } from './image-inputs.js';
import { checkTokens, tokenValues } from './image-tokens.js';
import { checkpointWeights, type ImageWeights, ownWeights, textWeights } from './image-weights.js';
import { limitsOf } from './limits.js';
import { type AdapterOptions, type PatchedSites, patchedSites } from './patched-sites.js';
import { probeFeeds } from './probe-feeds.js';
import { recomputeSites } from './recompute-sites.js';
import type { SecondEngine } from './second-engine.js';
import type { Check, SiteNumbers } from './validation.js';

type File = OpenedModel & { readonly path: string };

/** A patched model and what is known of it. */
export interface Recomputable {
  readonly base: File;
  readonly patched: File;
  readonly stamp: ReadStamp;
  /** The checkpoints that the user gave; none, or one for each adapter in the model. */
  readonly adapters: readonly Adapter[];
  readonly provider: Provider;
  readonly seed: number;
  readonly inputs: ImageInputs;
  /** `null` for a model without an adapter. */
  readonly engine: SecondEngine | null;
}

/** What the second engine found. */
export interface RecomputedModel {
  readonly checks: readonly Check[];
  readonly sites: readonly SiteNumbers[];
  readonly warnings: readonly string[];
}

/**
 * Everything that a second engine can say of a patched model.
 * @throws IpgraftError `OPTION_INVALID`, `ADAPTER_COUNT`, `ADAPTER_WIDTH`, `RUNTIME_*`
 */
export async function recomputed(model: Recomputable): Promise<RecomputedModel> {
  const { base, patched, stamp, provider, seed, inputs, engine, adapters } = model;
  const options = stamp['ipgraft.options'];
  const nothing = (detail: string): RecomputedModel => ({
    checks: [{ name: 'every cross-attention, recomputed', passed: null, difference: null, detail }],
    sites: [],
    warnings: [],
  });
  if (!('tokens' in options) || engine === null)
    return nothing('this model has no adapter, hence no image attention');
  let found: PatchedSites;
  try {
    found = patchedSites(base.graph, patched, stamp, options);
  } catch (error) {
    if (!(error instanceof IpgraftError)) throw error;
    return nothing(`the cross-attentions are not found: ${error.code}: ${error.message}`);
  }
  const chosen = weightsFor(model, found);
  const weights = options.hoist ? { ...chosen, source: 'other models, by ip_kv' } : chosen;
  const feeds = asTyped(patched.graph, probeFeeds(inputs.on, seed));
  const limit = limitsOf(patched.graph, provider).site;
  const { sites, checks, probe } = await recomputeSites(
    { engine, patched, options, found, weights, feeds, provider, limit },
    tokenValues(patched, found),
  );
  const tokens = options.hoist
    ? await checkHoistedModels({ tf: engine.tf, path: patched.path, found, adapters, provider, seed, limit })
    : await checkTokens({ probe, patched, stamp, options, adapters, limit });
  return {
    checks: [...tokens, ...checks, ...whoseWeights(stamp, options, adapters)],
    sites,
    warnings: otherFiles(stamp, adapters),
  };
}

/** The same numbers as a float16 model gets them. */
function asTyped(graph: Graph, feeds: Readonly<Record<string, Values>>): Record<string, Values> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { dims, data }]) => {
      const isHalf = graph.inputs.get(name)?.dataType === DATA_TYPE.float16;
      return [name, { dims, data: isHalf ? decodeFloats(encodeFloats(data, 'float16'), 'float16') : data }];
    }),
  );
}

/** Without the checkpoint, weights that were wrong from the start are not seen. */
function whoseWeights(stamp: ReadStamp, options: AdapterOptions, adapters: readonly Adapter[]): Check[] {
  if (adapters.length > 0 || options.hoist || isFromText(stamp)) return [];
  const detail = 'the checkpoint was not given (--adapter): those inside of the model are taken for right';
  return [{ name: 'image weights, the checkpoint’s', passed: null, difference: null, detail }];
}

/** A converted checkpoint has the same numbers and another digest, so that this is no failure. */
function otherFiles(stamp: ReadStamp, adapters: readonly Adapter[]): string[] {
  const stamped = stamp['ipgraft.adapters'];
  return adapters
    .filter(({ sha256 }, i) => stamped[i]!.sha256 !== undefined && stamped[i]!.sha256 !== sha256)
    .map(({ name }) => `${name} is not the file that was compiled in: it has another SHA-256.`);
}

/** Whether image weights started as copies of the text's. */
function isFromText(stamp: ReadStamp): boolean {
  return stamp['ipgraft.adapters'].every(({ family }) => family === undefined);
}

function weightsFor(
  { base, patched, stamp, adapters }: Recomputable,
  { located }: PatchedSites,
): ImageWeights {
  const stamped = stamp['ipgraft.adapters'];
  if (adapters.length > 0) {
    if (adapters.length === stamped.length) return checkpointWeights(adapters, located);
    throw new IpgraftError(
      'OPTION_INVALID',
      `--adapter: sought ${stamped.length} adapters (${stamped.map(({ name }) => name).join(', ')}), found ${adapters.length}`,
      { sought: stamped.length, found: adapters.length },
    );
  }
  return isFromText(stamp) ? textWeights(base) : ownWeights(patched);
}
