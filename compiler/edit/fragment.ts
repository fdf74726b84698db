import { type AttributeValue, integerTensor, type NewNode, type NewTensor } from '../onnx/create.js';
import type { Graph } from '../onnx/graph.js';
import type { ValueName } from '../onnx/node.js';
import type { Edit } from './edit.js';

/** Gives out node names that no node of the graph bears, nor any other that this object gave out. */
export class NodeNames {
  readonly graph: Graph;
  private readonly taken: Set<string>;

  constructor(graph: Graph) {
    this.graph = graph;
    this.taken = new Set(graph.nodes.map((node) => node.name));
  }

  /** `wanted`, or `wanted_1`, `wanted_2`, … when it is taken. */
  claim(wanted: string): string {
    let name = wanted;
    for (let n = 1; this.taken.has(name); n++) name = `${wanted}_${n}`;
    this.taken.add(name);
    return name;
  }
}

/**
 * New nodes and tensors on their way into a graph, in the order in which they compute. Values are named as TorchScript
 * names them: the node's name and `_output_0`.
 */
export class Fragment {
  private readonly names: NodeNames;
  private readonly scope: string;
  private readonly nodes: NewNode[] = [];
  private readonly tensors = new Map<ValueName, NewTensor>();

  /** `scope`: what every name begins with, such as `/ip_adapter`. */
  constructor(names: NodeNames, scope: string) {
    this.names = names;
    this.scope = scope;
  }

  /** Adds a node and answers the value that it makes. */
  node(
    opType: string,
    inputs: readonly ValueName[],
    options: {
      name?: string;
      attributes?: Readonly<Record<string, AttributeValue>>;
      output?: ValueName;
    } = {},
  ): ValueName {
    const name = this.names.claim(`${this.scope}/${options.name ?? opType}`);
    const output = options.output ?? `${name}_output_0`;
    const { attributes } = options;
    this.nodes.push({ opType, name, inputs, outputs: [output], ...(attributes && { attributes }) });
    return output;
  }

  /** Adds an initializer and answers its name. */
  tensor(tensor: NewTensor): ValueName {
    this.tensors.set(tensor.name, tensor);
    return tensor.name;
  }

  /** A small int64 constant, one for equal values: shapes, axes, indices. A bare number has rank 0. */
  integers(values: number | readonly number[]): ValueName {
    const name = `${this.scope}/int64_${typeof values === 'number' ? `scalar_${values}` : values.join('_')}`;
    // Named by its content: one that an earlier pass brought is the same.
    return this.names.graph.initializers.has(name) ? name : this.tensor(integerTensor(name, values));
  }

  edits(before: ValueName | null): Edit[] {
    return [
      ...[...this.tensors.values()].map((tensor): Edit => ({ kind: 'insert-initializer', tensor })),
      ...this.nodes.map((node): Edit => ({ kind: 'insert-node', node, before })),
    ];
  }
}
