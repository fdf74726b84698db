import { type Field, fields, mayHaveField, read, text } from '../wire/fields.js';
import { Rope } from '../wire/rope.js';
import { splice, textRecord } from '../wire/splice.js';
import { type AttributeProto, onnx } from './proto.js';
import { ATTRIBUTE, ENTRY, GRAPH, NODE } from './schema.js';
import { readTensorHeader, type TensorHeader } from './tensor-header.js';
import { ValueInfo } from './value-info.js';
import type { ValueName } from './value-name.js';

export type { ValueName };

/** A NodeProto, decoded on first read from the bytes it came as. Immutable: a changed node is another node. */
export class Node {
  readonly record: Rope;
  /** Where the record starts in the base file; `null` for a node that was inserted. It is the node's identity. */
  readonly place: number | null;
  private cached: Decoded | undefined;
  private cachedInner: readonly Inner[] | undefined;

  constructor(record: Rope, place: number | null) {
    this.record = record;
    this.place = place;
  }

  get inputs(): readonly ValueName[] {
    return this.decoded.inputs;
  }

  get outputs(): readonly ValueName[] {
    return this.decoded.outputs;
  }

  /** The node by what it makes: unique in a graph, where a node's own name may be missing. */
  get id(): ValueName {
    return this.outputs.find((name) => name !== '') ?? '';
  }

  get opType(): string {
    return this.decoded.opType;
  }

  get name(): string {
    return this.decoded.name;
  }

  get domain(): string {
    return this.decoded.domain;
  }

  /** For messages: the name, or what it makes where it has none. */
  get label(): string {
    return `${this.opType} ${this.name || `→ ${this.id}`}`;
  }

  /** One entry of the node's metadata (dynamo exports keep module paths there). */
  metadata(key: string): string | undefined {
    for (const field of this.decoded.metadata) {
      const entry = this.record.slice(field.payload, field.end);
      const parts = fields(entry);
      const keyField = parts.find((part) => part.number === ENTRY.key);
      if (keyField === undefined || text(entry, keyField) !== key) continue;
      const valueField = parts.find((part) => part.number === ENTRY.value);
      return valueField && text(entry, valueField);
    }
    return undefined;
  }

  /** The attributes by name, undecoded, in the order of the file. */
  get attributes(): readonly { readonly name: string; readonly record: Rope }[] {
    return this.decoded.attributes.map((field) => {
      const record = this.record.slice(field.payload, field.end);
      const name = fields(record).find(({ number }) => number === ATTRIBUTE.name);
      return { name: name === undefined ? '' : text(record, name), record };
    });
  }

  /** An attribute by name, decoded; its tensor data only where it is small enough to be in memory. */
  attribute(name: string): AttributeProto | undefined {
    for (const field of this.decoded.attributes) {
      const bytes = this.record.slice(field.payload, field.end).bytes;
      if (bytes === undefined) continue;
      const attribute = read(field, 'an attribute', () => onnx.AttributeProto.decode(bytes));
      if (attribute.name === name) return attribute;
    }
    return undefined;
  }

  /** The graphs in the node's attributes (control flow keeps its branches there), whose nodes may read any value around them. */
  subgraphs(): Subgraph[] {
    return this.inner.flatMap(({ isGraph, content }) => (isGraph ? [readSubgraph(content)] : []));
  }

  /** Tensors in the node's attributes (a Constant has one, a subgraph many), however large their data is. */
  tensors(): TensorHeader[] {
    return this.inner.flatMap(({ isGraph, content }) => {
      if (!isGraph) return [readTensorHeader(content)];
      const { initializers, nodes } = readSubgraph(content);
      return [...initializers, ...nodes.flatMap((node) => node.tensors())];
    });
  }

  /** The same node with one input changed: one record is replaced, every other byte stays. */
  withInput(index: number, value: ValueName): Node {
    let seen = -1;
    const record = splice(this.record, (field) => {
      if (field.number !== NODE.input) return undefined;
      seen += 1;
      return seen === index ? textRecord(NODE.input, value) : undefined;
    });
    return new Node(record, this.place);
  }

  /**
   * A new node that computes the same on other values: attributes, domain and unknown fields travel raw;
   * the base node's metadata and doc string describe the base node and stay with it.
   */
  clone(name: string, inputs: readonly ValueName[], outputs: readonly ValueName[]): Node {
    const own = splice(this.record, (field) => (DESCRIBES_ITSELF.has(field.number) ? Rope.EMPTY : undefined));
    return new Node(
      Rope.join([
        ...inputs.map((value) => textRecord(NODE.input, value)),
        ...outputs.map((value) => textRecord(NODE.output, value)),
        textRecord(NODE.name, name),
        own,
      ]),
      null,
    );
  }

  private get inner(): readonly Inner[] {
    this.cachedInner ??= fitted(this.decoded.attributes.flatMap((field) => innerOf(this.record, field)));
    return this.cachedInner;
  }

  private get decoded(): Decoded {
    this.cached ??= decode(this.record);
    return this.cached;
  }
}

/** What a NodeProto says, its attributes and metadata as places. */
interface Decoded {
  readonly inputs: readonly ValueName[];
  readonly outputs: readonly ValueName[];
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly attributes: readonly Field[];
  readonly metadata: readonly Field[];
}

function decode(record: Rope): Decoded {
  const inputs: ValueName[] = [];
  const outputs: ValueName[] = [];
  const attributes: Field[] = [];
  const metadata: Field[] = [];
  let [name, opType, domain] = ['', '', ''];
  for (const field of fields(record)) {
    switch (field.number) {
      case NODE.input:
        inputs.push(text(record, field));
        break;
      case NODE.output:
        outputs.push(text(record, field));
        break;
      case NODE.name:
        name = text(record, field);
        break;
      case NODE.opType:
        opType = text(record, field);
        break;
      case NODE.domain:
        domain = text(record, field);
        break;
      case NODE.attribute:
        attributes.push(field);
        break;
      case NODE.metadata:
        metadata.push(field);
        break;
    }
  }
  return {
    inputs: fitted(inputs),
    outputs: fitted(outputs),
    name,
    opType,
    domain,
    attributes: fitted(attributes),
    metadata: fitted(metadata),
  };
}

const NONE: readonly never[] = [];

/** The same items in as much memory as they need: an array that grew has room for seventeen, and there are five for each node. */
function fitted<T>(items: readonly T[]): readonly T[] {
  return items.length === 0 ? NONE : items.slice();
}

/** A tensor or a graph in an attribute. */
interface Inner {
  readonly isGraph: boolean;
  readonly content: Rope;
}

const GRAPHS: readonly number[] = [ATTRIBUTE.graph, ATTRIBUTE.graphs];
const TENSORS_AND_GRAPHS: readonly number[] = [ATTRIBUTE.tensor, ATTRIBUTE.tensors, ...GRAPHS];

function innerOf(record: Rope, field: Field): readonly Inner[] {
  if (!mayHaveField(record, field, TENSORS_AND_GRAPHS)) return NONE;
  const attribute = record.slice(field.payload, field.end);
  return fields(attribute)
    .filter(({ number }) => TENSORS_AND_GRAPHS.includes(number))
    .map((field) => ({
      isGraph: GRAPHS.includes(field.number),
      content: attribute.slice(field.payload, field.end),
    }));
}

/** A graph in an attribute. */
interface Subgraph {
  readonly initializers: readonly TensorHeader[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly ValueName[];
}

function readSubgraph(graph: Rope): Subgraph {
  const inside = fields(graph).map((field) => ({
    number: field.number,
    content: graph.slice(field.payload, field.end),
  }));
  return {
    initializers: inside
      .filter(({ number }) => number === GRAPH.initializer)
      .map(({ content: record }) => readTensorHeader(record)),
    nodes: inside
      .filter(({ number }) => number === GRAPH.node)
      .map(({ content: record }) => new Node(record, null)),
    outputs: inside
      .filter(({ number }) => number === GRAPH.output)
      .map(({ content: record }) => new ValueInfo(record, null).name),
  };
}

const DESCRIBES_ITSELF: ReadonlySet<number> = new Set([
  NODE.input,
  NODE.output,
  NODE.name,
  NODE.docString,
  NODE.metadata,
]);
