import assert from 'node:assert/strict';
import { assertRefused, bytesOf, open, readAll, safetensors } from './samples.js';

const entry = (begin: number, end: number, shape: unknown = [end - begin], dtype: unknown = 'U8') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('safetensors', () => {
  it('gives names, types, shapes and bytes', async () => {
    const bytes = safetensors(
      { __metadata__: { format: 'pt' }, b: entry(4, 8, [2, 1], 'BF16'), a: entry(0, 4) },
      8,
    );
    bytes.set([1, 2, 3, 4, 5, 6, 7, 8], bytes.length - 8);
    const { format, tensors } = await open(bytes);
    assert.equal(format, 'safetensors');
    const b = tensors.get('b')!;
    assert.deepEqual([b.name, b.dtype, b.shape, [...(await b.read())]], ['b', 'BF16', [2, 1], [5, 6, 7, 8]]);
    assert.deepEqual([...(await tensors.get('a')!.read())], [1, 2, 3, 4]);
    assert.equal(tensors.size, 2);
  });

  it('gives scalars and empty tensors', async () => {
    const all = await readAll(
      safetensors({ scalar: entry(0, 4, [], 'F32'), none: entry(4, 4, [3, 0], 'F32') }, 4),
    );
    assert.deepEqual([all.get('scalar')!.length, all.get('none')!.length], [4, 0]);
  });

  it('takes __proto__ for a name like any other', async () => {
    const { tensors } = await open(
      safetensors('{"__proto__":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', 2),
    );
    assert.deepEqual(tensors.get('__proto__')!.shape, [2]);
    assert.equal(Object.hasOwn(Object.prototype, 'dtype'), false);
    await assertRefused(
      safetensors('{"a":{"__proto__":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}}', 2),
      'ADAPTER_SAFETENSORS_MALFORMED',
    );
  });

  const malformed: Readonly<Record<string, Uint8Array>> = {
    'a header that is not JSON': safetensors('{"a"'),
    'a header that is not UTF-8': bytesOf([4, 0, 0, 0, 0, 0, 0, 0], '{\xff\xfe}'),
    'a header that is nested too deep': safetensors(`{"a":${'['.repeat(1_000_000)}`),
    'a header that is too long': bytesOf([0, 0, 0, 0x7f, 0, 0, 0, 0], '{}'),
    'a header length of four gigabytes': bytesOf([255, 255, 255, 255, 0, 0, 0, 0], '{}'),
    'an entry that is a list': safetensors({ a: [] }),
    'an entry that is null': safetensors({ a: null }),
    'an unknown dtype': safetensors({ a: entry(0, 1, [1], 'toString') }, 1),
    'no dtype': safetensors({ a: entry(0, 1, [1], null) }, 1),
    'a negative side': safetensors({ a: entry(0, 1, [-1]) }, 1),
    'a broken side': safetensors({ a: entry(0, 1, [1.5]) }, 1),
    'a side as text': safetensors({ a: entry(0, 1, ['1']) }, 1),
    'no shape': safetensors({ a: entry(0, 1, {}) }, 1),
    'a product beyond all numbers': safetensors({ a: entry(0, 0, [2 ** 40, 2 ** 40]) }),
    'three offsets': safetensors({ a: { dtype: 'U8', shape: [1], data_offsets: [0, 1, 2] } }, 2),
    'offsets backwards': safetensors({ a: { dtype: 'U8', shape: [1], data_offsets: [1, 0] } }, 1),
    'bytes that do not fit the shape': safetensors({ a: entry(0, 4, [2], 'F32') }, 4),
    overlaps: safetensors({ a: entry(0, 4), b: entry(2, 6) }, 6),
    'a hole': safetensors({ a: entry(0, 4), b: entry(6, 8) }, 8),
    'a start after the beginning': safetensors({ a: entry(2, 4) }, 4),
    'bytes after the end': safetensors({ a: entry(0, 4) }, 5),
    'a key that stands twice': safetensors(
      `{"a":${JSON.stringify(entry(0, 4))},"a":${JSON.stringify(entry(4, 8))}}`,
      8,
    ),
  };
  for (const [name, bytes] of Object.entries(malformed)) {
    it(`refuses ${name}`, () => assertRefused(bytes, 'ADAPTER_SAFETENSORS_MALFORMED'));
  }

  it('names a number type that it does not read', () =>
    assertRefused(
      safetensors({ a: entry(0, 1, [1], 'F8_E4M3') }, 1),
      'ADAPTER_TENSOR_UNSUPPORTED',
      /F8_E4M3/,
    ));

  it('tells a file that is cut off', async () => {
    const bytes = safetensors({ a: entry(0, 100) }, 100);
    await assertRefused(bytes.subarray(0, 20), 'ADAPTER_TRUNCATED');
    await assertRefused(bytes.subarray(0, -1), 'ADAPTER_TRUNCATED');
  });

  it('prints no control characters of the file', () =>
    assertRefused(
      safetensors({ 'a\x1b[2J\u202e': [] }),
      'ADAPTER_SAFETENSORS_MALFORMED',
      /a\\u\{1b\}\[2J\\u\{202e\}/,
    ));
});
