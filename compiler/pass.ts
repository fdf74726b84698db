import type { Edit } from './edit/edit.js';
import type { Journal } from './edit/journal.js';
import type { Graph } from './onnx/graph.js';

/**
 * One step of a compilation. A pass is pure: it reads a graph and answers with edits; it changes nothing and does no I/O.
 * Its options come through the factory that makes it.
 */
export interface Pass {
  /** kebab-case, equal to its file name. */
  readonly name: string;
  /** One line: printed by `inspect`, heads its section in `docs/passes.md`. */
  readonly summary: string;
  /** Refuses by name what it cannot serve: what was sought, what was found. */
  requires?(graph: Graph): void;
  /** The edits that turn `graph` into what comes next; none when there is nothing to do. `history`: what earlier passes did. */
  run(graph: Graph, history: Journal): readonly Edit[];
  /** Checks what the pass promises of its result; a failure is ipgraft's own fault. */
  ensures?(before: Graph, after: Graph): void;
}
