import { IpgraftError } from '../errors.js';
import type { ByteSource } from '../io/byte-source.js';

/** The containers that can be opened. */
export type Container = 'safetensors' | 'zip';

/** Enough for every signature below; the farthest is tar's, at 257. */
const HEAD_LENGTH = 512;

const ASK_FOR_WEIGHTS =
  'Give the weights of the adapter: a .safetensors file, or a .bin or .pt file that torch wrote.';
const SAVE_AGAIN =
  "Save it again with torch 1.6 or later (torch.save(torch.load(old, weights_only=True), new)), or use the adapter's .safetensors.";

interface Stranger {
  readonly what: string;
  readonly hint: string;
  readonly legacy?: true;
  matches(head: Uint8Array): boolean;
}

/** Files that are often given by mistake, each with what to do about it. The first match names the file. */
const STRANGERS: readonly Stranger[] = [
  {
    what: 'a Git LFS pointer, not the file itself',
    hint: 'The repository was cloned without its large files: run `git lfs pull`, or download the file from its web page.',
    matches: (head) => startsWith(head, 'version https://git-lfs'),
  },
  {
    what: 'a GGUF file',
    hint: ASK_FOR_WEIGHTS,
    matches: (head) => startsWith(head, 'GGUF'),
  },
  {
    what: 'an HDF5 file (Keras)',
    hint: ASK_FOR_WEIGHTS,
    matches: (head) => startsWith(head, '\x89HDF'),
  },
  {
    what: 'a gzip file',
    hint: 'Unpack it first.',
    matches: (head) => startsWith(head, '\x1f\x8b'),
  },
  {
    what: 'a torch file from before torch 1.6 (bare pickles)',
    hint: SAVE_AGAIN,
    legacy: true,
    // torch's legacy format starts with a pickle of the number 0x1950a86a20f9469cfc6c (torch/serialization.py).
    matches: (head) => startsWith(head.subarray(2), '\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.'),
  },
  {
    what: 'a bare pickle',
    hint: SAVE_AGAIN,
    legacy: true,
    matches: (head) => head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5,
  },
  {
    what: 'a tar archive (torch before 0.1.10)',
    hint: SAVE_AGAIN,
    legacy: true,
    matches: (head) => startsWith(head.subarray(257), 'ustar'),
  },
  {
    what: 'an ONNX model',
    hint: 'The adapter and the UNet are given in the wrong order, or the wrong file was chosen.',
    // ModelProto of onnx.proto: field 1 (ir_version, below 128), then field 2 (producer), 7 (graph) or 8 (opsets).
    matches: (head) =>
      head[0] === 0x08 && head[1]! > 0 && head[1]! < 0x80 && [0x12, 0x1a, 0x3a, 0x42].includes(head[2]!),
  },
  {
    what: 'a web page',
    hint: 'The download went wrong, or needs a login: get the file itself from the page (on Hugging Face: “resolve”, not “blob”).',
    matches: (head) => isText(head) && latin1(head).trimStart().startsWith('<'),
  },
  {
    what: 'a text file',
    hint: ASK_FOR_WEIGHTS,
    matches: isText,
  },
];

/**
 * Tells the container by its first bytes; a file's extension says nothing.
 * @throws IpgraftError `ADAPTER_LEGACY_TORCH`, `ADAPTER_NOT_A_CHECKPOINT`; both name what was found.
 */
export async function recognizeContainer(source: ByteSource): Promise<Container> {
  const file = source.name;
  const head = await source.read(0, Math.min(source.size, HEAD_LENGTH));
  if (head.length === 0) {
    throw new IpgraftError(
      'ADAPTER_NOT_A_CHECKPOINT',
      `${file}: the file is empty`,
      { file, found: 'an empty file' },
      {
        hint: 'The download failed: fetch the file again.',
      },
    );
  }
  if (startsWith(head, 'PK\x03\x04')) return 'zip';
  // First, because the length that opens a safetensors file can look like any short signature (640 is 80 02).
  if (hasSafetensorsHeader(head)) return 'safetensors';
  const stranger = STRANGERS.find((candidate) => candidate.matches(head));
  if (stranger !== undefined) {
    throw new IpgraftError(
      stranger.legacy ? 'ADAPTER_LEGACY_TORCH' : 'ADAPTER_NOT_A_CHECKPOINT',
      `${file}: sought a checkpoint, found ${stranger.what}`,
      { file, found: stranger.what },
      { hint: stranger.hint },
    );
  }
  throw new IpgraftError('ADAPTER_NOT_A_CHECKPOINT', `${file}: neither safetensors nor a torch file`, {
    file,
    found: 'unknown bytes',
  });
}

/** A header of less than 4 GiB that starts as JSON. */
function hasSafetensorsHeader(head: Uint8Array): boolean {
  return head[8] === 0x7b && head.subarray(4, 8).every((byte) => byte === 0);
}

function startsWith(head: Uint8Array, signature: string): boolean {
  for (let i = 0; i < signature.length; i++) if (head[i] !== signature.charCodeAt(i)) return false;
  return true;
}

/** UTF-8 or Latin text: no control characters but white space in the first bytes. */
function isText(head: Uint8Array): boolean {
  return head.every((byte) => (byte >= 0x20 && byte !== 0x7f) || (byte >= 0x09 && byte <= 0x0d));
}

function latin1(head: Uint8Array): string {
  return String.fromCharCode(...head);
}
