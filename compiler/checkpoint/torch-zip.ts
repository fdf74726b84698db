import { type FileEntry, Reader, ZipReader } from '@zip.js/zip.js';
import { type ErrorCode, IpgraftError } from '../errors.js';
import type { ByteSource } from '../io/byte-source.js';
import { printable } from '../printable.js';

const MEBIBYTE = 1024 * 1024;
/** The central directory is read at once; an entry takes some 100 bytes there. */
const MAX_READ = 32 * MEBIBYTE;
const MAX_ENTRIES = 100_000;
/** The pickle of an adapter has some 10 kB, that of a large model 1 MB. */
const MAX_PICKLE_LENGTH = 16 * MEBIBYTE;
const MAX_NOTE_LENGTH = 64;

const STORED = 0;
const DEFLATED = 8;
/** Fixed part of a local file header; name and extra field follow (APPNOTE.TXT of PKWARE, 4.3.7). */
const LOCAL_HEADER_LENGTH = 30;

/**
 * What reading a file may make of its bytes: four times as many, and something for the smallest. Weights do not
 * compress better than that; what does is a bomb.
 */
export function expansionLimit(source: Pick<ByteSource, 'size'>): number {
  return 4 * source.size + 16 * MEBIBYTE;
}

/** A zip that `torch.save` wrote. Sizes are bytes. */
export interface TorchZip {
  /** `data.pkl`, whole. */
  readonly pickle: Uint8Array;
  /** Size of a storage, unpacked; undefined where the archive has none of that key. */
  storageSize(key: string): number | undefined;
  /**
   * Bytes of a storage. A storage read whole, or a compressed one, is checked against its CRC-32.
   * @throws IpgraftError `ADAPTER_ZIP_MALFORMED`
   */
  readStorage(key: string, offset: number, length: number): Promise<Uint8Array>;
}

/**
 * Opens the zip of `torch.save` (torch 1.6 and later), whose entries lie in one folder of any name: `data.pkl`,
 * `data/<key>` for each storage, `byteorder` (absent before torch 2.1, when files were as the machine was),
 * `version` (`torch/serialization.py`, `caffe2/serialize/inline_container.h`). Reads the directory and
 * `data.pkl`, no storage.
 * @throws IpgraftError `ADAPTER_ZIP_MALFORMED`, `ADAPTER_TRUNCATED`, `ADAPTER_NOT_A_CHECKPOINT`, `ADAPTER_TENSOR_UNSUPPORTED`
 */
export async function openTorchZip(source: ByteSource): Promise<TorchZip> {
  const file = source.name;
  const fail = (code: ErrorCode, message: string, options = {}): never => {
    throw new IpgraftError(code, `${file}: ${message}`, { file }, options);
  };
  const entries = await readDirectory(source);
  const root = findRoot(entries, fail);

  const readSmall = async (name: string, limit: number): Promise<Uint8Array | undefined> => {
    const entry = entries.get(root + name);
    if (entry === undefined) return undefined;
    if (entry.uncompressedSize > limit) {
      fail(
        'ADAPTER_ZIP_MALFORMED',
        `${name} has ${entry.uncompressedSize} bytes, at most ${limit} are accepted`,
      );
    }
    return readEntry(source, entry);
  };
  const readNote = async (name: string): Promise<string | undefined> => {
    const bytes = await readSmall(name, MAX_NOTE_LENGTH);
    return bytes && new TextDecoder().decode(bytes).trim();
  };

  const byteOrder = (await readNote('byteorder')) ?? 'little';
  if (byteOrder !== 'little') {
    fail('ADAPTER_TENSOR_UNSUPPORTED', `the byte order is ${JSON.stringify(byteOrder)}, only little is read`);
  }
  const version = (await readNote('version')) ?? (await readNote('.data/version'));
  if (version === undefined || !/^\d{1,3}$/.test(version)) {
    fail(
      'ADAPTER_ZIP_MALFORMED',
      `the version of the format is ${JSON.stringify(version ?? null)}, sought a number`,
    );
  }
  const pickle = (await readSmall('data.pkl', MAX_PICKLE_LENGTH))!;

  const storage = (key: string): FileEntry | undefined => entries.get(`${root}data/${key}`);
  return {
    pickle,
    storageSize: (key) => storage(key)?.uncompressedSize,
    async readStorage(key, offset, length) {
      const entry = storage(key);
      if (entry === undefined || offset + length > entry.uncompressedSize) {
        return fail('ADAPTER_ZIP_MALFORMED', `storage ${printable(key)} has no ${length} bytes at ${offset}`);
      }
      if (entry.compressionMethod === STORED && length < entry.uncompressedSize) {
        return readStoredRange(source, entry, offset, length);
      }
      return (await readEntry(source, entry)).subarray(offset, offset + length);
    },
  };
}

/** All files of the archive by name. */
async function readDirectory(source: ByteSource): Promise<ReadonlyMap<string, FileEntry>> {
  const file = source.name;
  const entries = new Map<string, FileEntry>();
  const fail = (message: string): never => {
    throw new IpgraftError('ADAPTER_ZIP_MALFORMED', `${file}: ${message}`, { file });
  };
  await asIpgraftError(source, async () => {
    // Not `strict`, which takes the zip64 end record that torch writes into every archive for stray bytes.
    const zip = new ZipReader(new SourceReader(source), { useWebWorkers: false, strictness: 'balanced' });
    for await (const entry of zip.getEntriesGenerator()) {
      if (entry.directory) continue;
      if (entries.size === MAX_ENTRIES) fail(`the archive has more than ${MAX_ENTRIES} entries`);
      if (entries.has(entry.filename)) fail(`two entries are named ${printable(entry.filename)}`);
      if (entry.encrypted) fail(`${printable(entry.filename)} is encrypted`);
      const { compressionMethod, compressedSize, uncompressedSize } = entry;
      if (
        compressionMethod === STORED ? compressedSize !== uncompressedSize : compressionMethod !== DEFLATED
      ) {
        fail(`${printable(entry.filename)} is packed in an unknown way`);
      }
      if (compressedSize > source.size) fail(`${printable(entry.filename)} is larger than the archive`);
      if (uncompressedSize > expansionLimit(source)) {
        fail(
          `${printable(entry.filename)} would unpack to ${uncompressedSize} bytes, the archive has ${source.size}`,
        );
      }
      entries.set(entry.filename, entry);
    }
  });
  return entries;
}

/** The folder that holds `data.pkl`, with its slash. */
function findRoot(
  entries: ReadonlyMap<string, FileEntry>,
  fail: (code: ErrorCode, message: string, options?: { hint?: string }) => never,
): string {
  const names = [...entries.keys()];
  if (names.some((name) => /^[^/]+\/(constants\.pkl$|code\/)/.test(name))) {
    fail(
      'ADAPTER_NOT_A_CHECKPOINT',
      'a TorchScript archive, which is a program, not a dictionary of tensors',
      {
        hint: 'Give the checkpoint that the program was made from; nothing in a TorchScript archive is run or read.',
      },
    );
  }
  const roots = names.filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (roots.length === 0)
    fail('ADAPTER_NOT_A_CHECKPOINT', 'a zip archive, but not one that torch wrote: it has no data.pkl');
  if (roots.length > 1) fail('ADAPTER_ZIP_MALFORMED', 'the archive has more than one data.pkl');
  return roots[0]!.slice(0, -'data.pkl'.length);
}

/** A whole entry, unpacked and checked against its CRC-32. */
function readEntry(source: ByteSource, entry: FileEntry): Promise<Uint8Array> {
  return asIpgraftError(source, async () => {
    const bytes = new Uint8Array(entry.uncompressedSize);
    let filled = 0;
    const writable = new WritableStream<Uint8Array>({
      write(chunk) {
        if (chunk.length > bytes.length - filled)
          throw new Error(`${printable(entry.filename)} is longer than it says`);
        bytes.set(chunk, filled);
        filled += chunk.length;
      },
    });
    await entry.getData(writable, { checkCrc32: true });
    if (filled !== bytes.length) throw new Error(`${printable(entry.filename)} is shorter than it says`);
    return bytes;
  });
}

/** Part of an entry that is stored as it is, without reading the rest. */
function readStoredRange(
  source: ByteSource,
  entry: FileEntry,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  return asIpgraftError(source, async () => {
    const header = await source.read(entry.offset, LOCAL_HEADER_LENGTH);
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
    if (view.getUint32(0, true) !== 0x04034b50)
      throw new Error(`${printable(entry.filename)} has no local header`);
    const dataStart =
      entry.offset + LOCAL_HEADER_LENGTH + view.getUint16(26, true) + view.getUint16(28, true);
    return source.read(dataStart + offset, length);
  });
}

/** zip.js reads through this: ranges of the source, none larger than it should need. */
class SourceReader extends Reader<ByteSource> {
  readonly #source: ByteSource;

  constructor(source: ByteSource) {
    super(source);
    this.#source = source;
    this.size = source.size;
  }

  override async readUint8Array(offset: number, length: number): Promise<Uint8Array> {
    const available = Math.max(0, Math.min(length, this.#source.size - offset));
    if (available > MAX_READ) throw new Error(`the directory has more than ${MAX_READ} bytes`);
    return available === 0 ? new Uint8Array() : this.#source.read(offset, available);
  }
}

/** zip.js throws plain errors; so does `DecompressionStream`. */
async function asIpgraftError<T>(source: ByteSource, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof IpgraftError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    // The directory stands at the end, so a download that broke off has none.
    const code =
      reason === 'End of central directory not found' ? 'ADAPTER_TRUNCATED' : 'ADAPTER_ZIP_MALFORMED';
    throw new IpgraftError(
      code,
      `${source.name}: ${printable(reason)}`,
      { file: source.name },
      { cause: error },
    );
  }
}
