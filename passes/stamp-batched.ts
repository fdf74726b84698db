import type { Edit } from '../compiler/edit/edit.js';
import { parseJournal } from '../compiler/edit/journal.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueInfo } from '../compiler/onnx/value-info.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import { hasBatch, notBatched } from './batched-inputs.js';
import { JOURNAL_KEY, OPTIONS_KEY, type Stamp } from './stamp-metadata.js';

const NAME = 'stamp-batched';

/**
 * Writes into the model that it is batched, and the edits that made it so behind those of the adapter, so that undoing them all gives
 * the base. A model that was never patched gets `stamp` too. Nothing is written where nothing had to be changed.
 * Refuses a model of which an input or an output still has no batch in front.
 */
export function stampBatched(stamp: Stamp): Pass {
  return {
    name: NAME,
    summary: 'records in the model that each of its inputs has a batch, and the edits that gave it one',
    requires: refuseUnbatched,
    run(graph, history) {
      if (history.length === 0) return [];
      const { metadata } = graph;
      const before = metadata.get(JOURNAL_KEY);
      const options = JSON.parse(metadata.get(OPTIONS_KEY) ?? '{}') as object;
      const entries = {
        ...(before === undefined && stamp),
        [OPTIONS_KEY]: JSON.stringify({ ...options, batched: true }),
        [JOURNAL_KEY]: JSON.stringify([...(before === undefined ? [] : parseJournal(before)), ...history]),
      };
      return Object.entries(entries).map(
        ([key, to]): Edit => ({ kind: 'set-metadata', key, from: metadata.get(key) ?? null, to }),
      );
    },
    ensures(before, after) {
      if (after === before) return;
      for (const key of [...Object.keys(stamp), OPTIONS_KEY, JOURNAL_KEY])
        if (!after.metadata.has(key)) throw broken(NAME, `${key} was not recorded`);
    },
  };
}

function refuseUnbatched(graph: Graph): void {
  for (const input of graph.inputs.values())
    if (!graph.initializers.has(input.name) && !hasBatch(input))
      throw notBatched(`input ${input.name}`, fixed(input));
  for (const output of graph.outputs.values())
    if (output.shape !== null && !hasBatch(output)) throw notBatched(`output ${output.name}`, fixed(output));
}

function fixed({ shape }: ValueInfo): string {
  return shape === null
    ? 'of unknown rank'
    : `[${shape.map((size) => size ?? '?').join(', ')}]; sought a first dimension that is free`;
}
