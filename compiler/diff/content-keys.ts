import type { Initializer } from '../onnx/initializer.js';
import type { Node } from '../onnx/node.js';
import { ATTRIBUTE, TENSOR } from '../onnx/schema.js';
import { fields } from '../wire/fields.js';
import type { Rope } from '../wire/rope.js';

/** Gives equal texts equal numbers: comparing and keeping numbers is cheap, and no two texts share one as hashes might. */
export class Interner {
  private readonly numbers = new Map<string, number>();

  number(text: string): number {
    const known = this.numbers.get(text);
    if (known !== undefined) return known;
    const number = this.numbers.size;
    this.numbers.set(text, number);
    return number;
  }
}

const LATIN1 = new TextDecoder('latin1');

/** A record's bytes as text, one character each. Tensor data that is still in its file is told by its length alone. */
export function bytesKey(record: Rope): string {
  return record.segments
    .map((segment) => (segment.kind === 'loaded' ? LATIN1.decode(segment.bytes) : `[${segment.length}]`))
    .join('');
}

/** What a node computes, whatever its values are called: operator, domain, attributes in any order. */
export function contentKey(node: Node): string {
  const attributes = node.attributes.map(({ record }) => attributeKey(record)).sort();
  return [node.domain, node.opType, ...attributes].join('\0');
}

/** What an attribute says, its fields in any order; of a tensor, what it is and holds, not what it is called. */
export function attributeKey(attribute: Rope): string {
  const parts = fields(attribute).map((field) => {
    const content = attribute.slice(field.payload, field.end);
    const isTensor = field.number === ATTRIBUTE.tensor || field.number === ATTRIBUTE.tensors;
    return `${field.number}:${isTensor ? innerTensorKey(content) : bytesKey(content)}`;
  });
  return parts.sort().join('\0');
}

function innerTensorKey(tensor: Rope): string {
  const parts = fields(tensor)
    .filter(({ number, payload, end }) => number !== TENSOR.name && end > payload)
    .map(({ number, payload, end }) => `${number}:${bytesKey(tensor.slice(payload, end))}`);
  return parts.sort().join('\x01');
}

/** Up to here a tensor says by its numbers what it is for: shapes, axes, small constants. Bytes. */
const TELLING = 64;

/** What a tensor is, whatever it is called: its type and shape, and its numbers where they are few. */
export function tensorKey({ dataType, dims, raw }: Initializer): string {
  const numbers = raw !== null && raw.length <= TELLING ? bytesKey(raw) : '';
  return `${dataType}[${dims.join(',')}]${numbers}`;
}
