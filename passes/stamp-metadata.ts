import type { Edit } from '../compiler/edit/edit.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import type { StampKeys } from '../compiler/strip.js';

const NAME = 'stamp-metadata';

/** What every key of ours in a model's metadata begins with. */
export const METADATA_PREFIX = 'ipgraft.';
/** The edits that were made, so that they can be checked and undone. */
export const JOURNAL_KEY = 'ipgraft.journal';
/** The adapters: name, tokens per image, images, family, SHA-256. */
export const ADAPTERS_KEY = 'ipgraft.adapters';
/** How it was compiled, as JSON. */
export const OPTIONS_KEY = 'ipgraft.options';
/** The fingerprint of the base. */
export const BASE_KEY = 'ipgraft.base';
/** Which file holds the base's large weights, when the patched model names them instead of carrying them. */
export const WEIGHTS_KEY = 'ipgraft.weights';
/** What `sealOf` gives for the patched model. */
export const SEAL_KEY = 'ipgraft.seal';

/** Where a patched model keeps what it takes to check and undo its edits. */
export const STAMP_KEYS: StampKeys = {
  prefix: METADATA_PREFIX,
  journal: JOURNAL_KEY,
  base: BASE_KEY,
  weights: WEIGHTS_KEY,
  seal: SEAL_KEY,
};

/** What a patched model says about its making. Every value is text; nothing depends on time or place. */
export type Stamp = Readonly<Record<`ipgraft.${string}`, string>>;

/**
 * Writes into the model's metadata what was done to it: the tool's version, the fingerprint of the base, the adapters with
 * their SHA-256 and token counts, the options, and the journal of all edits but these.
 */
export function stampMetadata(stamp: Stamp): Pass {
  const keys = [...Object.keys(stamp), JOURNAL_KEY];
  return {
    name: NAME,
    summary: 'records in the model what was done to it: versions, digests, options, and the edits themselves',
    run(graph, history) {
      const entries: [string, string][] = [...Object.entries(stamp), [JOURNAL_KEY, JSON.stringify(history)]];
      return entries.map(
        ([key, to]): Edit => ({ kind: 'set-metadata', key, from: graph.metadata.get(key) ?? null, to }),
      );
    },
    ensures(_, after) {
      for (const key of keys) if (!after.metadata.has(key)) throw broken(NAME, `${key} was not recorded`);
    },
  };
}
