import type { Change } from '../../compiler/diff/model-diff.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { Node, ValueName } from '../../compiler/onnx/node.js';
import { shapeArithmetic } from './site-graph.js';

/** What became of a node, beside being there. */
export type NodeMark = 'kept' | 'new' | 'gone' | 'changed' | 'value';

/** Two graphs side by side, with what a comparison found: which value of one is which of the other. */
export class GraphPair {
  readonly before: Graph;
  readonly after: Graph;
  /** Nodes of each that only compute shapes. */
  readonly shapes: Readonly<Record<'before' | 'after', ReadonlySet<Node>>>;
  /** Values of other names in the two graphs. */
  private readonly later: ReadonlyMap<ValueName, ValueName>;
  private readonly earlier: ReadonlyMap<ValueName, ValueName>;
  /** Nodes of `after` that changed beyond what they read. */
  private readonly changed: ReadonlySet<ValueName>;

  constructor(before: Graph, after: Graph, changes: readonly Change[]) {
    this.before = before;
    this.after = after;
    this.shapes = { before: shapeArithmetic(before), after: shapeArithmetic(after) };
    const inMain = changes.filter(({ scope }) => scope === '');
    const renamed = inMain.flatMap(({ a, b }) =>
      a !== null && b !== null && a !== b ? [[a, b] as const] : [],
    );
    this.later = new Map(renamed);
    this.earlier = new Map(renamed.map(([a, b]) => [b, a]));
    this.changed = new Set(
      inMain.flatMap(({ subject, b, aspects }) =>
        subject === 'node' && b !== null && aspects.some(({ kind }) => kind === 'changed') ? [b] : [],
      ),
    );
  }

  /** What a value of `after` is called in `before`, if it is there. */
  nameBefore(value: ValueName): ValueName {
    return this.earlier.get(value) ?? value;
  }

  /** What a value of `before` is called in `after`, if it is there. */
  nameAfter(value: ValueName): ValueName {
    return this.later.get(value) ?? value;
  }

  /** The node of `before` that a node of `after` is. */
  nodeBefore(node: Node): Node | undefined {
    return this.before.producer(this.nameBefore(node.id));
  }

  /** The node of `after` that a node of `before` is. */
  nodeAfter(node: Node): Node | undefined {
    return this.after.producer(this.nameAfter(node.id));
  }

  /** What became of a node of `before`, or from where a node of `after` comes. */
  markOf(side: 'before' | 'after', node: Node): NodeMark {
    if (side === 'before') return this.nodeAfter(node) === undefined ? 'gone' : 'kept';
    if (this.nodeBefore(node) === undefined) return 'new';
    return this.changed.has(node.id) ? 'changed' : 'kept';
  }

  /** Whether a node of `after` that is in `before` reads another value there as this input. */
  isRewired(node: Node, input: number): boolean {
    const from = this.nodeBefore(node)?.inputs[input];
    return from !== undefined && this.nameAfter(from) !== node.inputs[input];
  }
}
