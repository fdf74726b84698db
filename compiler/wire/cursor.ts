/** A varint has at most ten bytes: 64 bits, seven in each. */
const LONGEST_VARINT = 10;

/**
 * Reads varints from bytes, one after the other, as plain numbers: protobufjs makes an object of every one that may have
 * 64 bits, and every length may.
 */
export class Cursor {
  readonly bytes: Uint8Array;
  position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes;
    this.position = position;
  }

  get atEnd(): boolean {
    return this.position >= this.bytes.length;
  }

  /** An unsigned number: exact up to 2^53, not a safe integer above. @throws RangeError at the end of the bytes, SyntaxError where no varint is */
  varint(): number {
    const { bytes } = this;
    let value = 0;
    let weight = 1;
    for (let i = 0; i < LONGEST_VARINT; i++) {
      if (this.position >= bytes.length) throw new RangeError('the bytes end within a varint');
      const byte = bytes[this.position++]!;
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
      weight *= 0x80;
    }
    throw new SyntaxError(`more than ${LONGEST_VARINT} bytes`);
  }

  /** A signed number, exact up to 2^53 either way. @throws as {@link varint} */
  signedVarint(): number {
    const start = this.position;
    const value = this.varint();
    if (Number.isSafeInteger(value)) return value;
    // Two's complement in 64 bits: a negative number has all ten bytes.
    let bits = 0n;
    for (let i = start; i < this.position; i++)
      bits |= BigInt(this.bytes[i]! & 0x7f) << BigInt(7 * (i - start));
    return Number(BigInt.asIntN(64, bits));
  }
}
