import { IpgraftError } from '../errors.js';
import { createInitializer, createInput, createNode } from '../onnx/create.js';
import type { Graph } from '../onnx/graph.js';
import type { Node, ValueName } from '../onnx/node.js';
import { type Edit, shapeText } from './edit.js';

/**
 * The graph after `edits`, which happen in their order. Linear in the graph's nodes plus the edits, however many.
 * @throws IpgraftError `EDIT_PRECONDITION` when an edit does not find what it names, `EDIT_NAME_TAKEN`
 */
export function apply(graph: Graph, edits: readonly Edit[]): Graph {
  if (edits.length === 0) return graph;
  const nodes = new NodeList(graph);
  const initializers = new Map(graph.initializers);
  const inputs = new Map(graph.inputs);
  const metadata = new Map(graph.metadata);
  for (const edit of edits) {
    switch (edit.kind) {
      case 'insert-node': {
        const { node } = edit;
        const made =
          'cloneOf' in node
            ? nodes.get(node.cloneOf).clone(node.name, node.inputs, node.outputs)
            : createNode(node);
        nodes.insert(made, edit.before);
        break;
      }
      case 'rewire': {
        const reader = nodes.get(edit.node);
        expect(`input ${edit.input} of ${reader.label}`, edit.from, reader.inputs[edit.input] ?? null);
        nodes.replace(reader, reader.withInput(edit.input, edit.to));
        break;
      }
      case 'insert-initializer':
        if (initializers.has(edit.tensor.name)) throw nameTaken(edit.tensor.name);
        initializers.set(edit.tensor.name, createInitializer(edit.tensor));
        break;
      case 'insert-input':
        if (inputs.has(edit.input.name)) throw nameTaken(edit.input.name);
        inputs.set(edit.input.name, createInput(edit.input));
        break;
      case 'set-input-dimension': {
        const input = inputs.get(edit.input);
        if (input === undefined) throw missing(edit.input);
        expect(`axis ${edit.axis} of ${edit.input}`, edit.from, input.shape?.[edit.axis] ?? null);
        inputs.set(edit.input, input.withDimension(edit.axis, edit.to));
        break;
      }
      case 'set-input-shape': {
        const input = inputs.get(edit.input);
        if (input === undefined) throw missing(edit.input);
        expect(`the shape of ${edit.input}`, shapeText(edit.from), shapeText(input.shape));
        inputs.set(edit.input, input.withShape(edit.to));
        break;
      }
      case 'set-metadata':
        expect(`metadata ${edit.key}`, edit.from, metadata.get(edit.key) ?? null);
        if (edit.to === null) metadata.delete(edit.key);
        else metadata.set(edit.key, edit.to);
        break;
    }
  }
  // Many edits, such as metadata, leave the nodes alone.
  if (!nodes.areIndexed) return graph.with({ initializers, inputs, metadata });
  return graph.with({ nodes: nodes.toArray(), initializers, inputs, metadata }, nodes.producers);
}

/** A graph's nodes while edits change them: insertions are kept by their anchor and laid out once at the end. */
class NodeList {
  private readonly base: Graph;
  private made: Map<ValueName, Node> | undefined;
  private readonly replaced = new Map<Node, Node>();
  private readonly inserted = new Map<ValueName, Node[]>();

  constructor(base: Graph) {
    this.base = base;
  }

  /** Whether anybody asked for a node: whoever changes one does. */
  get areIndexed(): boolean {
    return this.made !== undefined;
  }

  /** Who makes what, after the edits so far. */
  get producers(): Map<ValueName, Node> {
    this.made ??= new Map(this.base.producers);
    return this.made;
  }

  get(value: ValueName): Node {
    const node = this.producers.get(value);
    if (node === undefined) throw missing(value);
    return node;
  }

  insert(node: Node, before: ValueName | null): void {
    for (const output of node.outputs) if (this.producers.has(output)) throw nameTaken(output);
    const anchor = before === null ? this.first : this.get(before).id;
    const group = this.inserted.get(anchor);
    if (group === undefined) this.inserted.set(anchor, [node]);
    else group.push(node);
    this.index(node);
  }

  replace(old: Node, changed: Node): void {
    this.replaced.set(old, changed);
    this.index(changed);
  }

  toArray(): readonly Node[] {
    const laid: Node[] = [];
    const lay = (node: Node): void => {
      for (const earlier of this.inserted.get(node.id) ?? []) lay(earlier);
      let current = node;
      for (let next = this.replaced.get(current); next !== undefined; next = this.replaced.get(current))
        current = next;
      laid.push(current);
    };
    this.base.nodes.forEach(lay);
    return laid;
  }

  /** Where “in front of all nodes of the base” is. */
  private get first(): ValueName {
    return this.base.nodes.find((node) => node.place !== null)!.id;
  }

  private index(node: Node): void {
    for (const output of node.outputs) if (output !== '') this.producers.set(output, node);
  }
}

function expect(where: string, sought: unknown, found: unknown): void {
  if (sought === found) return;
  throw new IpgraftError('EDIT_PRECONDITION', `${where}: sought ${sought}, found ${found}`, {
    where,
    sought: String(sought),
    found: String(found),
  });
}

function missing(value: ValueName): IpgraftError {
  return new IpgraftError('EDIT_PRECONDITION', `sought the value ${value}, the graph has none of that name`, {
    value,
  });
}

function nameTaken(name: ValueName): IpgraftError {
  return new IpgraftError('EDIT_NAME_TAKEN', `the name ${name} is already taken in the graph`, { name });
}
