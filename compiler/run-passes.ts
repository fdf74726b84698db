import { apply } from './edit/apply.js';
import type { Edit } from './edit/edit.js';
import { type JournalEntry, journalOf } from './edit/journal.js';
import { IpgraftError } from './errors.js';
import type { Graph } from './onnx/graph.js';
import type { Model } from './onnx/read-model.js';
import type { Pass } from './pass.js';
import { verify } from './verify.js';

/** What one pass did. */
export interface PassResult {
  readonly pass: string;
  readonly edits: readonly Edit[];
}

/** A model with edits applied: nothing is written yet, and no weight has been read. */
export interface Edited {
  readonly base: Model;
  readonly graph: Graph;
  readonly passes: readonly PassResult[];
}

/**
 * Runs passes over a model: each sees the graph that the passes before it left. The result is verified as a whole.
 * @throws IpgraftError what a pass refuses (`requires`), `PASS_*` when a pass breaks its own promise, `VERIFY_*`
 */
export function runPasses(model: Model, passes: readonly Pass[]): Edited {
  const journal: JournalEntry[] = [];
  const results: PassResult[] = [];
  let graph = model.graph;
  for (const pass of passes) {
    pass.requires?.(graph);
    const edits = pass.run(graph, journal);
    const after = apply(graph, edits);
    pass.ensures?.(graph, after);
    journal.push(...journalOf(edits));
    results.push({ pass: pass.name, edits });
    graph = after;
  }
  verify(model.graph, graph, journal);
  return { base: model, graph, passes: results };
}

/** A pass did not do what it promises. */
export function broken(pass: string, promise: string): IpgraftError {
  return new IpgraftError('PASS_BROKEN', `${pass}: ${promise}`, { pass });
}
