import type { Initializer } from './initializer.js';
import type { Node, ValueName } from './node.js';
import type { ValueInfo } from './value-info.js';

/** One reading of a value: which node, and as which of its inputs. */
export interface Use {
  readonly node: Node;
  readonly input: number;
}

/** What a {@link Graph} is made of. */
export interface GraphParts {
  readonly irVersion: number;
  /** Domain → version; `''` is ai.onnx. */
  readonly opsetImports: ReadonlyMap<string, number>;
  /** The model's metadata_props. */
  readonly metadata: ReadonlyMap<string, string>;
  /** In topological order, as ONNX demands. */
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<ValueName, Initializer>;
  readonly inputs: ReadonlyMap<ValueName, ValueInfo>;
  readonly outputs: ReadonlyMap<ValueName, ValueInfo>;
  /** Names of the model's own functions. */
  readonly functions: ReadonlySet<string>;
}

/**
 * A model's main graph with what the model says about itself. Immutable: an edit makes another graph, which shares
 * every node that the edit did not touch. Who makes and who reads a value is derived when first asked.
 */
export class Graph implements GraphParts {
  readonly irVersion: number;
  readonly opsetImports: ReadonlyMap<string, number>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<ValueName, Initializer>;
  readonly inputs: ReadonlyMap<ValueName, ValueInfo>;
  readonly outputs: ReadonlyMap<ValueName, ValueInfo>;
  readonly functions: ReadonlySet<string>;
  private made: ReadonlyMap<ValueName, Node> | undefined;
  private readers: Map<ValueName, Use[]> | undefined;
  private positions: Map<Node, number> | undefined;
  private sorted: boolean | undefined;

  constructor(parts: GraphParts) {
    this.irVersion = parts.irVersion;
    this.opsetImports = parts.opsetImports;
    this.metadata = parts.metadata;
    this.nodes = parts.nodes;
    this.initializers = parts.initializers;
    this.inputs = parts.inputs;
    this.outputs = parts.outputs;
    this.functions = parts.functions;
  }

  /** `producers`: who makes what in the changed graph, where the caller knows already. */
  with(changes: Partial<GraphParts>, producers?: ReadonlyMap<ValueName, Node>): Graph {
    const changed = new Graph({ ...(this as GraphParts), ...changes });
    if (changed.nodes === this.nodes) changed.adopt(this);
    else changed.made = producers;
    return changed;
  }

  /** Version of ai.onnx. */
  get opset(): number {
    return this.opsetImports.get('') ?? this.opsetImports.get('ai.onnx') ?? 0;
  }

  /** The node that makes `value`; `undefined` for an input, an initializer, or an unknown name. */
  producer(value: ValueName): Node | undefined {
    return this.producers.get(value);
  }

  /** Every value that a node makes, with the node. */
  get producers(): ReadonlyMap<ValueName, Node> {
    if (this.made === undefined) {
      const made = new Map<ValueName, Node>();
      for (const node of this.nodes)
        for (const output of node.outputs) if (output !== '') made.set(output, node);
      this.made = made;
    }
    return this.made;
  }

  /** Whether every node stands behind what it reads: ONNX demands it, runtimes do not, and some tools append nodes. */
  get isSorted(): boolean {
    if (this.sorted === undefined) {
      const done = new Set<ValueName>();
      this.sorted = this.nodes.every((node) => {
        if (node.inputs.some((input) => this.producers.has(input) && !done.has(input))) return false;
        for (const output of node.outputs) done.add(output);
        return true;
      });
    }
    return this.sorted;
  }

  /** Every reading of `value` by a node, in graph order. Readings inside control-flow subgraphs are not among them. */
  uses(value: ValueName): readonly Use[] {
    if (this.readers === undefined) {
      this.readers = new Map();
      for (const node of this.nodes) {
        node.inputs.forEach((name, input) => {
          if (name === '') return;
          const uses = this.readers!.get(name);
          if (uses === undefined) this.readers!.set(name, [{ node, input }]);
          else uses.push({ node, input });
        });
      }
    }
    return this.readers.get(value) ?? [];
  }

  /** Where a node stands in the topological order. */
  position(node: Node): number {
    this.positions ??= new Map(this.nodes.map((each, index) => [each, index]));
    return this.positions.get(node) ?? -1;
  }

  /** What was derived from the same nodes need not be derived again. */
  private adopt({ made, readers, positions, sorted }: Graph): void {
    this.made = made;
    this.readers = readers;
    this.positions = positions;
    this.sorted = sorted;
  }

  /** Whether any value of the graph bears this name. */
  hasValue(name: ValueName): boolean {
    return this.producer(name) !== undefined || this.initializers.has(name) || this.inputs.has(name);
  }
}
