import { Rope, type Segment } from '../wire/rope.js';
import { record } from '../wire/splice.js';
import { DATA_TYPE, type DataType } from './data-type.js';
import { Initializer } from './initializer.js';
import { Node, type ValueName } from './node.js';
import { onnx } from './proto.js';
import { TENSOR } from './schema.js';
import { type Dimension, ValueInfo } from './value-info.js';

/** An attribute of a new node: a whole number, a float, text, or a list of whole numbers. */
export type AttributeValue = number | { readonly float: number } | string | readonly number[];

/** A node that no base node stands behind. */
export interface NewNode {
  readonly opType: string;
  readonly name: string;
  readonly inputs: readonly ValueName[];
  readonly outputs: readonly ValueName[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

/** An initializer to add. `data` is row-major, little-endian, and may be made only when it is written. */
export interface NewTensor {
  readonly name: ValueName;
  readonly dataType: DataType;
  readonly dims: readonly number[];
  readonly data: Segment;
}

/** A graph input to add. */
export interface NewInput {
  readonly name: ValueName;
  readonly dataType: DataType;
  readonly shape: readonly Dimension[];
}

/** Encodes a node; attributes get the ONNX type that their value has. */
export function createNode(node: NewNode): Node {
  const { AttributeProto, NodeProto } = onnx;
  const attribute = Object.entries(node.attributes ?? {}).map(([name, value]) => {
    if (typeof value === 'number') return { name, type: AttributeProto.AttributeType.INT, i: value };
    if (typeof value === 'string')
      return { name, type: AttributeProto.AttributeType.STRING, s: new TextEncoder().encode(value) };
    if ('float' in value) return { name, type: AttributeProto.AttributeType.FLOAT, f: value.float };
    return { name, type: AttributeProto.AttributeType.INTS, ints: [...value] };
  });
  const bytes = NodeProto.encode({
    input: [...node.inputs],
    output: [...node.outputs],
    name: node.name,
    opType: node.opType,
    attribute,
  }).finish();
  return new Node(Rope.of(bytes), null);
}

/** Encodes a tensor's header; its data joins as a segment, unread. */
export function createInitializer(tensor: NewTensor): Initializer {
  const header = onnx.TensorProto.encode({
    dims: [...tensor.dims],
    dataType: DATA_TYPE[tensor.dataType],
    name: tensor.name,
  }).finish();
  // Field 9 follows field 8: the record reads as if it had been encoded whole.
  const data = record(TENSOR.rawData, new Rope([tensor.data]));
  return new Initializer(Rope.join([Rope.of(header), data]), null);
}

/** Encodes a graph input. */
export function createInput(input: NewInput): ValueInfo {
  const dim = input.shape.map((dimension) =>
    typeof dimension === 'number'
      ? { dimValue: dimension }
      : dimension === null
        ? {}
        : { dimParam: dimension },
  );
  const bytes = onnx.ValueInfoProto.encode({
    name: input.name,
    type: { tensorType: { elemType: DATA_TYPE[input.dataType], shape: { dim } } },
  }).finish();
  return new ValueInfo(Rope.of(bytes), null);
}

/** Encodes a graph output by its name alone: ONNX Runtime infers the type and the shape of what a node makes. */
export function createOutput(name: ValueName): ValueInfo {
  return new ValueInfo(Rope.of(onnx.ValueInfoProto.encode({ name }).finish()), null);
}

/** A small int64 tensor: shapes, axes, indices. Rank 0 when `values` is one bare number. */
export function integerTensor(name: ValueName, values: number | readonly number[]): NewTensor {
  const list = typeof values === 'number' ? [values] : values;
  const bytes = new Uint8Array(list.length * 8);
  const view = new DataView(bytes.buffer);
  list.forEach((value, i) => {
    view.setBigInt64(i * 8, BigInt(value), true);
  });
  return {
    name,
    dataType: 'int64',
    dims: typeof values === 'number' ? [] : [list.length],
    data: { kind: 'loaded', length: bytes.length, bytes },
  };
}
