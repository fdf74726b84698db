import type { Graph } from '../onnx/graph.js';
import { Initializer } from '../onnx/initializer.js';
import { Node } from '../onnx/node.js';
import { FUNCTION, GRAPH, VALUE_INFO } from '../onnx/schema.js';
import { readEntry } from '../onnx/tensor-header.js';
import { ValueInfo } from '../onnx/value-info.js';
import { type Field, fields, text } from '../wire/fields.js';
import type { Rope } from '../wire/rope.js';
import { textRecord } from '../wire/splice.js';
import { bytesKey } from './content-keys.js';
import type { Aspect } from './model-diff.js';

/** Whatever has nodes: a model's graph, a graph in an attribute, a function. */
export interface Body {
  readonly nodes: readonly Node[];
  readonly initializers: readonly Initializer[];
  /** Of a function, names alone. */
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** What is noted of values on the way: value_info. */
  readonly values: readonly ValueInfo[];
  /** Every other record, in file order. */
  readonly rest: readonly OtherRecord[];
}

/** A record that is compared by its bytes. */
export interface OtherRecord {
  readonly number: number;
  readonly wireType: number;
  readonly content: Rope;
}

/** Reads a GraphProto; of a model's main graph, nodes, tensors, inputs and outputs are read already. */
export function graphBody(message: Rope, known?: Graph): Body {
  const records = recordsOf(message);
  const all = (number: number) => records.filter((record) => record.number === number);
  const infos = (number: number) => all(number).map(({ content, start }) => new ValueInfo(content, start));
  const items = known ?? {
    nodes: all(GRAPH.node).map(({ content, start }) => new Node(content, start)),
    initializers: all(GRAPH.initializer).map(({ content, start }) => new Initializer(content, start)),
    inputs: infos(GRAPH.input),
    outputs: infos(GRAPH.output),
  };
  return {
    nodes: items.nodes,
    initializers: [...items.initializers.values()],
    inputs: [...items.inputs.values()],
    outputs: [...items.outputs.values()],
    values: infos(GRAPH.valueInfo),
    rest: records.filter(({ number }) => !GRAPH_KINDS.has(number)),
  };
}

/** Reads a FunctionProto. */
export function functionBody(message: Rope): Body {
  const records = recordsOf(message);
  const all = (number: number) => records.filter((record) => record.number === number);
  const named = (number: number) =>
    all(number).map(
      ({ field }) => new ValueInfo(textRecord(VALUE_INFO.name, text(message, field)), field.start),
    );
  return {
    nodes: all(FUNCTION.node).map(({ content, start }) => new Node(content, start)),
    initializers: [],
    inputs: named(FUNCTION.input),
    outputs: named(FUNCTION.output),
    values: all(FUNCTION.valueInfo).map(({ content, start }) => new ValueInfo(content, start)),
    rest: records.filter(({ number }) => !FUNCTION_KINDS.has(number)),
  };
}

/** A message's records with their contents. */
export function recordsOf(
  message: Rope,
): (OtherRecord & { readonly start: number; readonly field: Field })[] {
  return fields(message).map((field) => ({
    number: field.number,
    wireType: field.wireType,
    content: message.slice(field.payload, field.end),
    start: field.start,
    field,
  }));
}

/**
 * What a message says beside `known` fields, by name and as text of its bytes. Empty and absent are the same, as they are to every
 * reader. Entries of metadata are told apart by their keys.
 */
export function otherParts(
  message: Rope,
  known: ReadonlySet<number>,
  names: Readonly<Record<number, string>>,
): Map<string, string> {
  const found = new Map<string, string>();
  for (const { number, content } of recordsOf(message)) {
    if (known.has(number)) continue;
    const name = names[number] ?? `field ${number}`;
    if (name === 'metadata') {
      const [key, value] = readEntry(content);
      found.set(`metadata ${key}`, value);
    } else if (content.length > 0) found.set(name, `${found.get(name) ?? ''}${bytesKey(content)}`);
  }
  return found;
}

/** Where two maps of parts do not say the same, as changes. */
export function* changedParts(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
): Iterable<Aspect> {
  for (const what of new Set([...a.keys(), ...b.keys()])) {
    const [from, to] = [a.get(what) ?? null, b.get(what) ?? null];
    if (from !== to) yield { kind: 'changed', what, from, to };
  }
}

const GRAPH_KINDS: ReadonlySet<number> = new Set([
  GRAPH.node,
  GRAPH.initializer,
  GRAPH.input,
  GRAPH.output,
  GRAPH.valueInfo,
]);
const FUNCTION_KINDS: ReadonlySet<number> = new Set([
  FUNCTION.node,
  FUNCTION.input,
  FUNCTION.output,
  FUNCTION.valueInfo,
]);
