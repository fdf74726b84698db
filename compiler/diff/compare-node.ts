import type { Node, ValueName } from '../onnx/node.js';
import { onnx } from '../onnx/proto.js';
import { ATTRIBUTE, NODE } from '../onnx/schema.js';
import { readTensorHeader } from '../onnx/tensor-header.js';
import { fields } from '../wire/fields.js';
import { type Rope, sameBytes } from '../wire/rope.js';
import { changedParts, otherParts } from './body.js';
import { attributeKey } from './content-keys.js';
import type { Aspect } from './model-diff.js';

/** How two matched nodes differ, and the graphs in their attributes that are yet to be compared. */
export interface NodeComparison {
  readonly aspects: readonly Aspect[];
  /** Attributes of both that hold a graph and differ. */
  readonly graphs: readonly { readonly name: string; readonly a: Rope; readonly b: Rope }[];
}

/**
 * Compares two matched nodes. `valueOfB` says which value of B a value of A is, `undefined` where none is; `isOfA`, whether a value of B
 * is one of A. `sameData` reads what is still in the files.
 */
export async function compareNode(
  a: Node,
  b: Node,
  valueOfB: (value: ValueName) => ValueName | undefined,
  isOfA: (value: ValueName) => boolean,
  sameData: (a: Rope, b: Rope) => Promise<boolean>,
): Promise<NodeComparison> {
  const aspects: Aspect[] = [...inputs(a, b, valueOfB, isOfA)];
  const isSame =
    sameBytes(a.record, b.record) || (isStored(a.record) && (await sameData(a.record, b.record)));
  if (isSame) return { aspects, graphs: [] };
  const changed = (what: string, from: string | null, to: string | null) => {
    if (from !== to) aspects.push({ kind: 'changed', what, from, to });
  };
  changed('operator', a.opType, b.opType);
  changed('domain', a.domain, b.domain);
  if (a.name !== b.name) aspects.push({ kind: 'renamed', what: 'name', from: a.name, to: b.name });
  aspects.push(...outputs(a, b));
  const attributes = await compareAttributes(a, b, sameData);
  aspects.push(...attributes.aspects);
  aspects.push(...changedParts(otherParts(a.record, KNOWN, NAMES), otherParts(b.record, KNOWN, NAMES)));
  if (aspects.length === 0) aspects.push({ kind: 'changed', what: 'encoding', from: null, to: null });
  return { aspects, graphs: attributes.graphs };
}

function* inputs(
  a: Node,
  b: Node,
  valueOfB: (value: ValueName) => ValueName | undefined,
  isOfA: (value: ValueName) => boolean,
): Iterable<Aspect> {
  for (let input = 0; input < Math.max(a.inputs.length, b.inputs.length); input++) {
    const [from, to] = [a.inputs[input] ?? '', b.inputs[input] ?? ''];
    const expected = from === '' ? '' : valueOfB(from);
    // Where both are gone or new, nothing but the name tells.
    const isSame = expected === undefined ? from === to && !isOfA(to) : expected === to;
    if (!isSame) yield { kind: 'rewired', input, from, to };
    else if (from !== to) yield { kind: 'renamed', what: `input ${input}`, from, to };
  }
}

function* outputs(a: Node, b: Node): Iterable<Aspect> {
  for (let output = 0; output < Math.max(a.outputs.length, b.outputs.length); output++) {
    const [from, to] = [a.outputs[output] ?? null, b.outputs[output] ?? null];
    if (from === to) continue;
    if (from === null || to === null) yield { kind: 'changed', what: `output ${output}`, from, to };
    else yield { kind: 'renamed', what: `output ${output}`, from, to };
  }
}

async function compareAttributes(
  a: Node,
  b: Node,
  sameData: (a: Rope, b: Rope) => Promise<boolean>,
): Promise<{ aspects: Aspect[]; graphs: { name: string; a: Rope; b: Rope }[] }> {
  const aspects: Aspect[] = [];
  const graphs: { name: string; a: Rope; b: Rope }[] = [];
  const theirs = new Map(b.attributes.map(({ name, record }) => [name, record]));
  for (const { name, record } of a.attributes) {
    const other = theirs.get(name);
    if (other === undefined) {
      aspects.push({ kind: 'changed', what: `attribute ${name}`, from: describeAttribute(record), to: null });
      continue;
    }
    theirs.delete(name);
    if (sameBytes(record, other) || (isStored(record) && (await sameData(record, other)))) continue;
    const [ours, branch] = [graphOf(record), graphOf(other)];
    if (ours !== undefined && branch !== undefined) {
      graphs.push({ name, a: ours, b: branch });
      aspects.push({ kind: 'changed', what: `attribute ${name}`, from: null, to: null });
    } else if (attributeKey(record) === attributeKey(other) && !isStored(record)) {
      // The same tensor under another name, or the same fields in another order.
      const [from, to] = [tensorName(record), tensorName(other)];
      if (from !== to) aspects.push({ kind: 'renamed', what: `attribute ${name}`, from, to });
    } else {
      const [from, to] = [describeAttribute(record), describeAttribute(other)];
      aspects.push({ kind: 'changed', what: `attribute ${name}`, from, to });
    }
  }
  for (const [name, record] of theirs)
    aspects.push({ kind: 'changed', what: `attribute ${name}`, from: null, to: describeAttribute(record) });
  const order = (node: Node) => node.attributes.map(({ name }) => name);
  const [from, to] = [order(a).join(', '), order(b).join(', ')];
  if (aspects.length === 0 && from !== to)
    aspects.push({ kind: 'changed', what: 'order of attributes', from, to });
  return { aspects, graphs };
}

function tensorName(attribute: Rope): string {
  return fields(attribute)
    .filter(({ number }) => number === ATTRIBUTE.tensor)
    .map(({ payload, end }) => readTensorHeader(attribute.slice(payload, end)).name)
    .join(', ');
}

/** The graph in an attribute, where there is exactly one. */
function graphOf(attribute: Rope): Rope | undefined {
  const graphs = fields(attribute).filter(
    ({ number }) => number === ATTRIBUTE.graph || number === ATTRIBUTE.graphs,
  );
  return graphs.length === 1 ? attribute.slice(graphs[0]!.payload, graphs[0]!.end) : undefined;
}

const LONGEST = 80;

/** An attribute's value for people; of tensors, what they are. */
export function describeAttribute(record: Rope): string {
  const { bytes } = record;
  if (bytes === undefined) return `${record.length} bytes`;
  try {
    const attribute = onnx.AttributeProto.toObject(onnx.AttributeProto.decode(bytes), {
      longs: String,
      bytes: String,
    });
    const { name: _, type: __, docString: ___, ...values } = attribute;
    const [value] = Object.values(values);
    const isText = 's' in attribute;
    const text = isText
      ? new TextDecoder().decode(onnx.AttributeProto.decode(bytes).s)
      : JSON.stringify(value);
    return text === undefined ? '' : text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  } catch {
    return `${record.length} bytes`;
  }
}

const KNOWN: ReadonlySet<number> = new Set([
  NODE.input,
  NODE.output,
  NODE.name,
  NODE.opType,
  NODE.attribute,
  NODE.domain,
]);

const NAMES: Readonly<Record<number, string>> = {
  [NODE.docString]: 'doc string',
  [NODE.overload]: 'overload',
  [NODE.metadata]: 'metadata',
};

function isStored(record: Rope): boolean {
  return record.segments.some(({ kind }) => kind === 'stored');
}
