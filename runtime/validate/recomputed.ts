import { IpgraftError } from '../../compiler/errors.js';
import type { Adapter } from '../../passes/adapter/adapter.js';
import type { OpenedModel } from '../open.js';
import type { Provider } from '../session/session.js';
import type { ReadStamp } from '../stamp.js';
import type { ImageInputs } from './image-inputs.js';
import { checkpointWeights, type ImageWeights, ownWeights, textWeights } from './image-weights.js';
import { type PatchedSites, patchedSites } from './patched-sites.js';
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
  readonly engine: SecondEngine;
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
  const { patched, stamp, provider, seed, inputs, engine } = model;
  const options = stamp['ipgraft.options'];
  const nothing = (detail: string): RecomputedModel => ({
    checks: [{ name: 'every cross-attention, recomputed', passed: null, difference: null, detail }],
    sites: [],
    warnings: [],
  });
  if ('dropImageTokens' in options)
    return nothing('this model drops image tokens: it has no image attention');
  let found: PatchedSites;
  try {
    found = patchedSites(patched, stamp, options);
  } catch (error) {
    if (!(error instanceof IpgraftError)) throw error;
    return nothing(`the cross-attentions are not found: ${error.code}: ${error.message}`);
  }
  const weights = weightsFor(model, found);
  const feeds = probeFeeds(inputs.on, seed);
  const { sites, checks } = await recomputeSites({
    ...{ engine, patched, options, found, weights, feeds, provider },
    limit: 1e-5,
  });
  return { checks, sites, warnings: [] };
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
  return stamped.every(({ family }) => family === undefined) ? textWeights(base) : ownWeights(patched);
}
