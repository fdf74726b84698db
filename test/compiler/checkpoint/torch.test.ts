import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../compiler/checkpoint/open-checkpoint.js';
import type { ByteSource } from '../../../compiler/io/byte-source.js';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import {
  assertRefused,
  bytesOf,
  fixtureBytes,
  floats,
  open,
  type Part,
  pickle,
  readAll,
  toFloats,
  torchZip,
} from './samples.js';

const SIX = floats(0, 1, 2, 3, 4, 5);

/** A checkpoint whose one tensor `a.b` is this. */
function withTensor(tensor: Part, level = 0): Promise<Uint8Array> {
  return torchZip(pickle.file(pickle.dict(['a', pickle.dict(['b', tensor])])), {
    level,
    entries: { 'data/0': SIX },
  });
}

describe('torch checkpoints', () => {
  for (const name of ['sd15-base', 'sd15-plus', 'sd15-full-face']) {
    it(`hold in ${name}.bin what ${name}.safetensors holds`, async () => {
      const torch = await open(fixtureBytes('adapters', `${name}.bin`));
      const reference = await open(fixtureBytes('adapters', `${name}.safetensors`));
      assert.equal(torch.format, 'torch');
      assert.deepEqual([...torch.tensors.keys()].sort(), [...reference.tensors.keys()].sort());
      for (const [key, { dtype, shape, read }] of reference.tensors) {
        const tensor = torch.tensors.get(key)!;
        assert.deepEqual([tensor.dtype, tensor.shape], [dtype, shape], key);
        assert.equal(Buffer.compare(await tensor.read(), await read()), 0, key);
      }
    });
  }

  for (const file of ['views.bin', 'views-protocol4.bin']) {
    it(`gives views of storages in row-major order (${file})`, async () => {
      const { tensors } = await open(fixtureBytes('hostile', file));
      const read = async (name: string) => {
        const tensor = tensors.get(name)!;
        return { shape: tensor.shape, values: toFloats(await tensor.read()) };
      };
      const row = (start: number, count: number, step = 1) =>
        Array.from({ length: count }, (_, i) => start + i * step);
      assert.deepEqual(await read('shared.grid'), { shape: [4, 6], values: row(0, 24) });
      assert.deepEqual(await read('shared.transposed'), {
        shape: [6, 4],
        values: row(0, 6).flatMap((i) => row(i, 4, 6)),
      });
      assert.deepEqual(await read('shared.rows'), { shape: [2, 6], values: row(6, 12) });
      assert.deepEqual(await read('shared.columns'), { shape: [4, 2], values: [1, 3, 7, 9, 13, 15, 19, 21] });
      assert.deepEqual(await read('expanded'), { shape: [2, 3], values: [1, 1, 1, 2, 2, 2] });
      assert.deepEqual(await read('scalar'), { shape: [], values: [5] });
      assert.deepEqual(await read('empty'), { shape: [0, 3], values: [] });
      assert.deepEqual(await read('module.weight'), { shape: [2, 3], values: row(0, 6) });
      assert.deepEqual(await read('module.bias'), { shape: [2], values: [7, 8] });
      assert.deepEqual(await read('parameter'), { shape: [2], values: [1, 2] });
      assert.deepEqual(await read('ordered.1'), { shape: [1], values: [3] });
      assert.equal(
        [...tensors.keys()].some((name) => name.startsWith('note')),
        false,
      );
    });
  }

  it('gives all number types', async () => {
    const { tensors } = await open(fixtureBytes('hostile', 'views.bin'));
    const order = [0, 3, 1, 4, 2, 5];
    const expected: Readonly<Record<string, ArrayBufferView>> = {
      F64: Float64Array.from(order),
      F16: Uint16Array.of(0, 0x4200, 0x3c00, 0x4400, 0x4000, 0x4500),
      BF16: Uint16Array.of(0, 0x4040, 0x3f80, 0x4080, 0x4000, 0x40a0),
      I64: BigInt64Array.from(order, BigInt),
      I32: Int32Array.from(order),
      I16: Int16Array.from(order),
      I8: Int8Array.from(order),
      U8: Uint8Array.from(order),
      BOOL: Uint8Array.of(1, 0, 0, 1, 1, 0),
    };
    for (const [dtype, values] of Object.entries(expected)) {
      const tensor = tensors.get(`types.${dtype}`)!;
      assert.deepEqual([tensor.dtype, tensor.shape], [dtype, [3, 2]]);
      assert.deepEqual(Buffer.from(await tensor.read()), Buffer.from(values.buffer as ArrayBuffer), dtype);
    }
  });

  it('reads archives that were packed again, compressed', async () => {
    const all = await readAll(await withTensor(pickle.tensor([2, 2], [1, 2], 1, 6), 9));
    assert.deepEqual(toFloats(all.get('a.b')!), [1, 3, 2, 4]);
  });

  it('reads no weights when it opens, and then only those asked for', async () => {
    const weights = new Uint8Array(2 ** 22);
    const tensor = pickle.tensor([256], [2], 1000, 2 ** 20);
    const bytes = await torchZip(pickle.file(pickle.dict(['a', tensor])), { entries: { 'data/0': weights } });
    let read = 0;
    const source: ByteSource = {
      ...bufferSource(bytes, 'counted'),
      async read(offset, length) {
        read += length;
        return bytes.subarray(offset, offset + length);
      },
    };
    const { tensors } = await openCheckpoint(source);
    // zip.js looks for the directory's end in the last 64 KiB, up to twice.
    assert.ok(read < 300_000, `${read} bytes were read`);
    read = 0;
    assert.equal((await tensors.get('a')!.read()).length, 1024);
    assert.ok(read < 4096, `${read} bytes were read`);
  });

  it('notices damaged weights', async () => {
    const bytes = fixtureBytes('adapters', 'sd15-base.bin');
    const tensor = (await open(bytes)).tensors.get('ip_adapter.1.to_k_ip.weight')!;
    const at = Buffer.from(bytes).indexOf(Buffer.from(await tensor.read()));
    bytes[at + 5]! ^= 1;
    await assertRefused(bytes, 'ADAPTER_ZIP_MALFORMED', /CRC/i);
  });

  describe('are refused when', () => {
    const outside: Readonly<Record<string, Part>> = {
      'a tensor ends after its storage': pickle.tensor([7], [1], 0, 6),
      'a tensor starts after its storage': pickle.tensor([1], [1], 6, 6),
      'a stride leads out of the storage': pickle.tensor([2, 2], [5, 1], 0, 6),
      'strides lead beyond all numbers': pickle.tensor(
        [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1],
        [2 ** 31 - 1, 1, 1],
        0,
        6,
      ),
      'a storage claims more than its entry has': pickle.tensor([1], [1], 0, 7),
      'a storage does not exist': pickle.tensor([1], [1], 0, 6, '../version'),
      'strides of zero make much of little': pickle.tensor([2 ** 30], [0], 0, 6),
    };
    for (const [when, tensor] of Object.entries(outside)) {
      it(when, async () => assertRefused(await withTensor(tensor), 'ADAPTER_TENSOR_RANGE'));
    }

    const malformed: Readonly<Record<string, Part>> = {
      'an offset is negative': pickle.tensor([1], [1], -1, 6),
      'a side is negative': pickle.tensor([-1], [1], 0, 6),
      'a stride is negative': pickle.tensor([2], [-1], 5, 6),
      'a storage is shorter than nothing': pickle.tensor([1], [1], 0, -1),
      'there are fewer strides than sides': pickle.tensor([1, 1], [1], 0, 6),
    };
    for (const [when, tensor] of Object.entries(malformed)) {
      it(when, async () => assertRefused(await withTensor(tensor), 'ADAPTER_PICKLE_MALFORMED'));
    }

    it('one storage is told to be a thousand tensors', async () => {
      const one = pickle.tensor([1000], [1], 0, 1000);
      const all = Array.from({ length: 5000 }, (_, i): [string, Part] => [
        `t${i}`,
        i === 0 ? [one, 'q\x01'] : 'h\x01',
      ]);
      const data = pickle.file(pickle.dict(...all));
      await assertRefused(
        await torchZip(data, { entries: { 'data/0': new Uint8Array(4000) } }),
        'ADAPTER_TENSOR_RANGE',
      );
    });

    it('a number type is not read, or its values are not those stored', async () => {
      await assertRefused(
        fixtureBytes('hostile', 'float8.bin'),
        'ADAPTER_TENSOR_UNSUPPORTED',
        /float8_e4m3fn/,
      );
      await assertRefused(fixtureBytes('hostile', 'conjugate.bin'), 'ADAPTER_TENSOR_UNSUPPORTED', /metadata/);
    });

    it('they hold a lone tensor', () =>
      assertRefused(fixtureBytes('hostile', 'lone.bin'), 'ADAPTER_NOT_A_CHECKPOINT', /dictionary/));

    it('they name a function', () =>
      assertRefused(fixtureBytes('hostile', 'forbidden.bin'), 'ADAPTER_PICKLE_FORBIDDEN', /posix\.system/));

    const data = pickle.file('}');
    it('they are big-endian', async () =>
      assertRefused(
        await torchZip(data, { entries: { byteorder: bytesOf('big') } }),
        'ADAPTER_TENSOR_UNSUPPORTED',
        /big/,
      ));

    it('they have no version', async () =>
      assertRefused(
        await torchZip(data, { entries: { version: undefined } }),
        'ADAPTER_ZIP_MALFORMED',
        /version/,
      ));

    it('they have no pickle', async () =>
      assertRefused(
        await torchZip(data, { entries: { 'data.pkl': undefined } }),
        'ADAPTER_NOT_A_CHECKPOINT',
        /data\.pkl/,
      ));

    it('the pickle is a bomb', async () =>
      assertRefused(
        await torchZip(new Uint8Array(17 * 2 ** 20), { level: 9 }),
        'ADAPTER_ZIP_MALFORMED',
        /bytes/,
      ));

    it('a storage is a bomb', async () =>
      assertRefused(
        await torchZip(data, { level: 9, entries: { 'data/0': new Uint8Array(24 * 2 ** 20) } }),
        'ADAPTER_ZIP_MALFORMED',
        /unpack/,
      ));

    it('an entry is larger than it says', async () => {
      const bytes = Buffer.from(
        await torchZip(pickle.file(pickle.dict(['a', pickle.tensor([6], [1], 0, 6)])), {
          level: 9,
          entries: { 'data/0': floats(...new Array(600).fill(1)) },
        }),
      );
      // The size unpacked stands at 24 of the directory's record, whose name is at 46.
      const record = bytes.lastIndexOf('archive/data/0') - 46;
      assert.equal(bytes.readUInt32LE(record + 24), 2400);
      bytes.writeUInt32LE(24, record + 24);
      await assertRefused(bytes, 'ADAPTER_ZIP_MALFORMED');
    });

    it('two entries have one name', async () => {
      const bytes = Buffer.from(await torchZip(data, { entries: { 'data/0': SIX, 'data/1': SIX } }));
      for (let at = bytes.indexOf('data/1'); at >= 0; at = bytes.indexOf('data/1')) bytes.write('data/0', at);
      await assertRefused(bytes, 'ADAPTER_ZIP_MALFORMED', /data\/0/);
    });
  });
});
