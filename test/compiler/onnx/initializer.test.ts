import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createInitializer, integerTensor } from '../../../compiler/onnx/create.js';
import { Initializer } from '../../../compiler/onnx/initializer.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { TENSOR } from '../../../compiler/onnx/schema.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { integerRecord, record, textRecord } from '../../../compiler/wire/splice.js';
import { unknownRecord } from '../generated-models.js';

const { TensorProto } = onnx;

function tensor(proto: Parameters<typeof TensorProto.encode>[0]): Initializer {
  return new Initializer(Rope.of(TensorProto.encode(proto).finish()), 0);
}

/** raw_data somewhere among the other records of a tensor, one of which may say that it is here. */
const withRaw = fc
  .tuple(fc.uint8Array({ maxLength: 50 }), fc.array(unknownRecord, { maxLength: 2 }), fc.nat(), fc.boolean())
  .map(([raw, strangers, at, saysHere]) => {
    const others = [
      integerRecord(TENSOR.dims, raw.length),
      integerRecord(TENSOR.dataType, 2),
      textRecord(TENSOR.name, 'unet.weight'),
      ...strangers.map((bytes) => Rope.of(bytes)),
      ...(saysHere ? [integerRecord(TENSOR.dataLocation, 0)] : []),
    ];
    const records = others.toSpliced(at % (others.length + 1), 0, record(TENSOR.rawData, raw));
    return { raw, tensor: new Initializer(Rope.join(records), 5) };
  });
const places = fc
  .tuple(fc.constantFrom('model.onnx', 'model.onnx_data', 'a/b.bin'), fc.maxSafeNat(), fc.nat())
  .map(([location, offset, length]) => ({ location, offset, length }));

describe('Initializer', () => {
  it('names its data instead of carrying it, and says where', () => {
    fc.assert(
      fc.property(withRaw, places, ({ tensor }, place) => {
        const named = tensor.withExternalData(place);
        assert.deepEqual(named.external, place);
        assert.equal(named.raw, null);
        assert.deepEqual(
          [named.name, named.dims, named.dataType, named.place],
          [tensor.name, tensor.dims, tensor.dataType, 5],
        );
      }),
    );
  });

  it('with its data back has the same bytes', () => {
    fc.assert(
      fc.property(withRaw, places, ({ raw, tensor }, place) => {
        const back = tensor.withExternalData(place).withRawData(Rope.of(raw));
        assert.deepEqual(Buffer.from(back.record.bytes!), Buffer.from(tensor.record.bytes!));
      }),
    );
  });

  for (const [title, proto, sought] of [
    [
      'int64 raw data',
      { dataType: 7, rawData: new Uint8Array(new BigInt64Array([1n, -2n]).buffer) },
      [1, -2],
    ],
    ['int32 raw data', { dataType: 6, rawData: new Uint8Array(new Int32Array([3, -4]).buffer) }, [3, -4]],
    ['int64_data', { dataType: 7, int64Data: [5, -6] }, [5, -6]],
    ['int32_data', { dataType: 6, int32Data: [7, -8] }, [7, -8]],
    ['no elements', { dataType: 7, dims: [0], rawData: new Uint8Array(0) }, []],
    ['floats', { dataType: 1, rawData: new Uint8Array(4) }, undefined],
    [
      'external data',
      { dataType: 7, dataLocation: 1, externalData: [{ key: 'location', value: 'x.bin' }] },
      undefined,
    ],
  ] as const) {
    it(`integers of ${title}: ${JSON.stringify(sought)}`, () => {
      const { int64Data, int32Data, ...rest } = proto as typeof proto & {
        int64Data?: number[];
        int32Data?: number[];
      };
      const lists = {
        ...(int64Data && { int64Data: [...int64Data] }),
        ...(int32Data && { int32Data: [...int32Data] }),
      };
      assert.deepEqual(tensor({ ...rest, ...lists } as Parameters<typeof tensor>[0]).integers(), sought);
    });
  }

  for (const [title, entries, location, sought] of [
    [
      'all of it',
      { location: 'x', offset: '4096', length: '16' },
      1,
      { location: 'x', offset: 4096, length: 16 },
    ],
    ['only a location', { location: 'x' }, 1, { location: 'x', offset: 0, length: null }],
    ['a checksum besides', { location: 'x', checksum: 'abc' }, 1, { location: 'x', offset: 0, length: null }],
    ['nothing but the flag', {}, 1, { location: '', offset: 0, length: null }],
    ['entries without the flag', { location: 'x' }, 0, null],
  ] as const) {
    it(`external data that says ${title}`, () => {
      const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
      assert.deepEqual(tensor({ externalData, dataLocation: location }).external, sought);
    });
  }

  it('of rank 0 or of packed dims tells its dims', () => {
    assert.deepEqual(tensor({ dataType: 1 }).dims, []);
    assert.deepEqual(tensor({ dims: [2, 3, 4] }).dims, [2, 3, 4]);
    const packed = new Initializer(record(TENSOR.dims, Uint8Array.of(2, 3, 4)), 0);
    assert.deepEqual(packed.dims, [2, 3, 4]);
  });

  it('that was made reads as onnx-proto reads it', () => {
    const made = createInitializer(integerTensor('axes', [1, -1]));
    const read = TensorProto.decode(made.record.bytes!);
    assert.deepEqual([read.name, read.dims.map(Number), read.dataType], ['axes', [2], 7]);
    assert.deepEqual(made.integers(), [1, -1]);
  });

  it('made of a bare number has rank 0', () => {
    assert.deepEqual(createInitializer(integerTensor('index', 3)).dims, []);
  });
});
