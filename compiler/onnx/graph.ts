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
  private producers: Map<ValueName, Node> | undefined;
  private readers: Map<ValueName, Use[]> | undefined;
  private positions: Map<Node, number> | undefined;

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

  with(changes: Partial<GraphParts>): Graph {
    const changed = new Graph({ ...(this as GraphParts), ...changes });
    if (changed.nodes === this.nodes) changed.adopt(this);
    return changed;
  }

  /** Version of ai.onnx. */
  get opset(): number {
    return this.opsetImports.get('') ?? this.opsetImports.get('ai.onnx') ?? 0;
  }

  /** The node that makes `value`; `undefined` for an input, an initializer, or an unknown name. */
  producer(value: ValueName): Node | undefined {
    if (this.producers === undefined) {
      this.producers = new Map();
      for (const node of this.nodes)
        for (const output of node.outputs) if (output !== '') this.producers.set(output, node);
    }
    return this.producers.get(value);
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
  private adopt({ producers, readers, positions }: Graph): void {
    this.producers = producers;
    this.readers = readers;
    this.positions = positions;
  }

  /** Whether any value of the graph bears this name. */
  hasValue(name: ValueName): boolean {
    return this.producer(name) !== undefined || this.initializers.has(name) || this.inputs.has(name);
  }
}
