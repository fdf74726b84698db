import { type ErrorCode, IpgraftError } from '../errors.js';
import type { ByteSource } from '../io/byte-source.js';
import { printable } from '../printable.js';
import type { Checkpoint, CheckpointDtype, CheckpointTensor } from './checkpoint.js';
import { DTYPE_SIZE, elementCount, isCheckpointDtype } from './dtype-size.js';

/** Length of the header, little-endian, before the header itself. */
const PREFIX_LENGTH = 8;

/**
 * The format allows 100 MB. An adapter's header has some 20 kB, a large model's 1 MB; a hundred megabytes of
 * JSON brackets would take gigabytes as objects.
 */
const MAX_HEADER_LENGTH = 16 * 1024 * 1024;

/** Number types that the format knows and that ipgraft does not read. */
const OTHER_DTYPES: ReadonlySet<string> = new Set([
  'F4',
  'F6_E2M3',
  'F6_E3M2',
  'F8_E4M3',
  'F8_E4M3FNUZ',
  'F8_E5M2',
  'F8_E5M2FNUZ',
  'F8_E8M0',
  'U16',
  'U32',
  'U64',
  'C64',
]);

/** Name and place of a tensor; `begin` and `end` count from the end of the header. */
interface Entry {
  readonly name: string;
  readonly dtype: CheckpointDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Opens a safetensors file, as strictly as the reference reader does: tensors follow one another without holes
 * or overlaps and end where the file ends (https://huggingface.co/docs/safetensors, “Format”). `__metadata__`
 * is ignored. A key that stands twice in the header cannot be seen (`JSON.parse` keeps the last), but the bytes
 * of the first are then a hole, so such a file is refused all the same unless that tensor is empty or shares
 * its bytes with the other.
 * @throws IpgraftError `ADAPTER_SAFETENSORS_MALFORMED`, `ADAPTER_TENSOR_UNSUPPORTED`, `ADAPTER_TRUNCATED`
 */
export async function openSafetensors(source: ByteSource): Promise<Checkpoint> {
  const fail = (code: ErrorCode, message: string, facts = {}): never => {
    throw new IpgraftError(code, `${source.name}: ${message}`, { file: source.name, ...facts });
  };
  if (source.size < PREFIX_LENGTH) fail('ADAPTER_TRUNCATED', 'the file ends within the length of its header');
  const prefix = await source.read(0, PREFIX_LENGTH);
  const declared = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_LENGTH).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_LENGTH)) {
    fail(
      'ADAPTER_SAFETENSORS_MALFORMED',
      `the header claims ${declared} bytes, at most ${MAX_HEADER_LENGTH} are accepted`,
    );
  }
  const headerLength = Number(declared);
  const dataStart = PREFIX_LENGTH + headerLength;
  if (dataStart > source.size) {
    fail('ADAPTER_TRUNCATED', `the header ends at byte ${dataStart}, the file at ${source.size}`, {
      size: source.size,
    });
  }
  const header = parseHeader(await source.read(PREFIX_LENGTH, headerLength), fail);
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name !== '__metadata__') entries.push(parseEntry(name, value, fail));
  }

  const dataLength = source.size - dataStart;
  let covered = 0;
  for (const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered) {
      fail(
        'ADAPTER_SAFETENSORS_MALFORMED',
        `${printable(name)} starts at data byte ${begin}, sought ${covered}: tensors overlap or leave a hole`,
        {
          tensor: printable(name),
        },
      );
    }
    if (end > dataLength) {
      fail(
        'ADAPTER_TRUNCATED',
        `${printable(name)} ends at byte ${dataStart + end}, the file at ${source.size}`,
        {
          tensor: printable(name),
          size: source.size,
        },
      );
    }
    covered = end;
  }
  if (covered !== dataLength) {
    fail(
      'ADAPTER_SAFETENSORS_MALFORMED',
      `${dataLength - covered} bytes after the last tensor belong to none`,
    );
  }

  const tensors = new Map<string, CheckpointTensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    const read = async (room?: Uint8Array) => {
      if (room === undefined || room.length < end - begin) return source.read(dataStart + begin, end - begin);
      const bytes = room.subarray(0, end - begin);
      await source.readInto(bytes, dataStart + begin);
      return bytes;
    };
    tensors.set(name, { name, dtype, shape, read });
  }
  return { format: 'safetensors', tensors };
}

type Fail = (code: ErrorCode, message: string, facts?: object) => never;

function parseHeader(bytes: Uint8Array, fail: Fail): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    // Besides bad UTF-8 and bad JSON: brackets nested so deep that the parser's stack ends.
    return fail('ADAPTER_SAFETENSORS_MALFORMED', `the header is not JSON (${printable(String(error))})`);
  }
  return isRecord(value) ? value : fail('ADAPTER_SAFETENSORS_MALFORMED', 'the header is not a JSON object');
}

/** A key `__proto__` in the JSON is an own property of what `JSON.parse` returns, thus a tensor's name like any other. */
function parseEntry(name: string, value: unknown, fail: Fail): Entry {
  const malformed = (what: string): never =>
    fail('ADAPTER_SAFETENSORS_MALFORMED', `${printable(name)}: ${what}`, { tensor: printable(name) });
  if (!isRecord(value)) return malformed('its entry is not a JSON object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') return malformed('it has no dtype');
  if (!isCheckpointDtype(dtype)) {
    if (!OTHER_DTYPES.has(dtype)) return malformed(`unknown dtype ${printable(dtype)}`);
    return fail('ADAPTER_TENSOR_UNSUPPORTED', `${printable(name)} has the number type ${dtype}`, {
      tensor: printable(name),
      found: dtype,
    });
  }
  if (!isSizes(shape)) return malformed('its shape is not a list of non-negative integers');
  if (!isSizes(offsets) || offsets.length !== 2)
    return malformed('its data_offsets are not two non-negative integers');
  const [begin, end] = offsets as readonly [number, number];
  const count = elementCount(shape);
  if (count === undefined || end - begin !== count * DTYPE_SIZE[dtype]) {
    return malformed(
      `${dtype} [${shape.slice(0, 8).join(', ')}] does not fit the ${end - begin} bytes it is given`,
    );
  }
  return { name, dtype, shape, begin, end };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
