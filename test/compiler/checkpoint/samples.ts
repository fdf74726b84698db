import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Uint8ArrayReader, Uint8ArrayWriter, ZipWriter } from '@zip.js/zip.js';
import { openCheckpoint } from '../../../compiler/checkpoint/open-checkpoint.js';
import { type ErrorCode, IpgraftError } from '../../../compiler/errors.js';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { fixturePath } from '../../fixtures.js';

export type Part = string | number | readonly Part[] | Uint8Array;

/** Bytes from characters (Latin-1), numbers (one byte each) and lists of them. */
export function bytesOf(...parts: readonly Part[]): Uint8Array {
  const flat = parts.flatMap((part): number[] => {
    if (typeof part === 'number') return [part];
    if (typeof part === 'string') return [...Buffer.from(part, 'latin1')];
    return [...(part instanceof Uint8Array ? part : bytesOf(...part))];
  });
  return Uint8Array.from(flat);
}

/** Pickle fragments, by what they leave on the stack. */
export const pickle = {
  text: (value: string): Part => ['\x8c', Buffer.byteLength(value), Uint8Array.from(Buffer.from(value))],
  int: (value: number): Part => ['J', new Uint8Array(Int32Array.of(value).buffer)],
  global: (name: string): Part => `c${name.replace(/\.([^.]*)$/, '\n$1')}\n`,
  tuple: (...items: readonly Part[]): Part => ['(', items, 't'],
  dict: (...items: readonly (readonly [string, Part])[]): Part => [
    '}(',
    items.map(([key, value]): Part => [pickle.text(key), value]),
    'u',
  ],
  /** A tensor of float32 in storage `key`, which claims `elements`. */
  tensor: (
    shape: readonly number[],
    strides: readonly number[],
    offset: number,
    elements: number,
    key = '0',
  ): Part => [
    pickle.global('torch._utils._rebuild_tensor_v2'),
    pickle.tuple(
      [
        pickle.tuple(
          pickle.text('storage'),
          pickle.global('torch.FloatStorage'),
          pickle.text(key),
          pickle.text('cpu'),
          pickle.int(elements),
        ),
        'Q',
      ],
      pickle.int(offset),
      pickle.tuple(...shape.map(pickle.int)),
      pickle.tuple(...strides.map(pickle.int)),
      '\x89',
      [pickle.global('collections.OrderedDict'), ')R'],
    ),
    'R',
  ],
  file: (...parts: readonly Part[]): Uint8Array => bytesOf('\x80\x02', parts, '.'),
};

export interface ZipOptions {
  /** Deflate level; 0 stores. */
  readonly level?: number;
  /** Entries besides `data.pkl`, below `archive/`; `undefined` leaves one out. */
  readonly entries?: Readonly<Record<string, Uint8Array | undefined>>;
}

/** A torch zip with this `data.pkl`. */
export async function torchZip(
  data: Uint8Array,
  { level = 0, entries = {} }: ZipOptions = {},
): Promise<Uint8Array> {
  const zip = new ZipWriter(new Uint8ArrayWriter(), { level, useWebWorkers: false });
  const all = { 'data.pkl': data, byteorder: bytesOf('little'), version: bytesOf('3\n'), ...entries };
  for (const [name, bytes] of Object.entries(all)) {
    if (bytes !== undefined) await zip.add(`archive/${name}`, new Uint8ArrayReader(bytes));
  }
  return zip.close();
}

/** Little-endian float32. */
export function floats(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

export function toFloats(bytes: Uint8Array): number[] {
  return [...new Float32Array(bytes.slice().buffer)];
}

/** A safetensors file of this header and so many bytes of data. */
export function safetensors(header: string | object, dataLength = 0): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer);
  return bytesOf(prefix, Uint8Array.from(json), new Uint8Array(dataLength));
}

export function fixtureBytes(...path: readonly string[]): Uint8Array {
  return new Uint8Array(readFileSync(fixturePath(...path)));
}

export function open(bytes: Uint8Array) {
  return openCheckpoint(bufferSource(bytes, 'sample'));
}

/** The code and the hint of the refusal. */
export async function refusal(bytes: Uint8Array): Promise<IpgraftError> {
  try {
    await readAll(bytes);
  } catch (error) {
    assert.ok(error instanceof IpgraftError, `a raw ${String(error)}`);
    assert.notEqual(error.hint, '');
    return error;
  }
  return assert.fail('the file was not refused');
}

export async function assertRefused(
  bytes: Uint8Array,
  code: ErrorCode,
  message: RegExp = /./,
): Promise<void> {
  const error = await refusal(bytes);
  assert.deepEqual([error.code, message.test(error.message)], [code, true], error.message);
}

/** Opens and reads every tensor. */
export async function readAll(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const { tensors } = await open(bytes);
  const all = new Map<string, Uint8Array>();
  for (const [name, tensor] of tensors) all.set(name, await tensor.read());
  return all;
}
