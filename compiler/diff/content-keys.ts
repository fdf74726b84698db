import type { Initializer } from '../onnx/initializer.js';
import type { Node } from '../onnx/node.js';
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
  const attributes = node.attributes.map(({ record }) => bytesKey(record)).sort();
  return [node.domain, node.opType, ...attributes].join('\0');
}

/** Up to here a tensor says by its numbers what it is for: shapes, axes, small constants. Bytes. */
const TELLING = 64;

/** What a tensor is, whatever it is called: its type and shape, and its numbers where they are few. */
export function tensorKey({ dataType, dims, raw }: Initializer): string {
  const numbers = raw !== null && raw.length <= TELLING ? bytesKey(raw) : '';
  return `${dataType}[${dims.join(',')}]${numbers}`;
}
