import type { OnCompared } from '../compiler/diff/compare-data.js';
import { compareModels } from '../compiler/diff/compare-models.js';
import type { ModelDiff } from '../compiler/diff/model-diff.js';
import { prove } from '../compiler/diff/prove.js';
import { STAMP_KEYS } from '../passes/stamp-metadata.js';
import type { OpenedAdapter, OpenedModel } from './open.js';
import { recompile } from './recompile.js';

/** How to compare. */
export interface DiffOptions {
  /** The adapters that B was compiled with: A is then compiled again, and every byte that was inserted is compared too. */
  readonly adapters?: readonly OpenedAdapter[];
  readonly onCompared?: OnCompared;
}

/**
 * Compares any two models, and where B says that it was made of A, holds what differs against the edits that it declares. Weights are
 * compared in pieces, and not at all where both models name the same bytes.
 * @throws IpgraftError `OPTION_INVALID` when adapters are given that B was not compiled with, `ADAPTER_*`
 */
export async function diff(
  a: OpenedModel,
  b: OpenedModel,
  { adapters = [], onCompared }: DiffOptions = {},
): Promise<ModelDiff> {
  const found = await compareModels(a, b, onCompared);
  const again = adapters.length === 0 ? null : await recompile(a, b, adapters);
  return { ...found, proof: await prove(a, b, found, STAMP_KEYS, again, onCompared) };
}
