import protobuf from 'protobufjs/minimal.js';
import { IpgraftError } from '../../../compiler/errors.js';

/** Bytes of a request beside the elements of its tensors. What describes tensors is short; each byte of it may cost a hundred in memory. */
const LONGEST = 256 * 1024;

/** Tags of the fields of a ModelInferRequest that hold elements: `raw_input_contents`, and `contents` of `inputs`. */
const RAW = (7 << 3) | 2;
const INPUT = (5 << 3) | 2;
const CONTENTS = (5 << 3) | 2;

/**
 * Refuses a message that says too much beside the elements of tensors, before anything is allocated for it: of lists of nothing, a message of
 * 64 MiB makes some gigabytes.
 * @param type its name
 * @throws IpgraftError `SERVER_TOO_LARGE`; RangeError for what is cut off
 */
export function checkHead(type: string, bytes: Uint8Array): void {
  const head = type === 'ModelInferRequest' ? bytes.length - elementBytes(bytes) : bytes.length;
  if (head > LONGEST)
    throw new IpgraftError(
      'SERVER_TOO_LARGE',
      `the message exceeds the maximum allowed: sought ${LONGEST} bytes beside the elements of tensors, found ${head}`,
    );
}

function elementBytes(bytes: Uint8Array): number {
  const reader = protobuf.Reader.create(bytes);
  let found = 0;
  const skip = () => {
    const length = reader.uint32();
    reader.skip(length);
    found += length;
  };
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === RAW) skip();
    else if (tag !== INPUT) reader.skipType(tag & 7);
    else
      for (const end = reader.uint32() + reader.pos; reader.pos < end; ) {
        const inner = reader.uint32();
        if (inner === CONTENTS) skip();
        else reader.skipType(inner & 7);
      }
  }
  return found;
}
