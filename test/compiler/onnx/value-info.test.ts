import assert from 'node:assert/strict';
import { createInput } from '../../../compiler/onnx/create.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { type Dimension, ValueInfo } from '../../../compiler/onnx/value-info.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { record } from '../../../compiler/wire/splice.js';

type Type = NonNullable<Parameters<typeof onnx.ValueInfoProto.encode>[0]['type']>;

function valueInfo(type: Type | null): ValueInfo {
  return new ValueInfo(Rope.of(onnx.ValueInfoProto.encode({ name: 'x', type }).finish()), 3);
}

function shaped(shape: readonly Dimension[]): ValueInfo {
  return createInput({ name: 'x', dataType: 'float16', shape });
}

function hex(value: ValueInfo): string {
  return Buffer.from(value.record.bytes!).toString('hex');
}

describe('ValueInfo', () => {
  it('tells name, type and shape', () => {
    const value = shaped(['batch', 77, null]);
    assert.deepEqual([value.name, value.dataType, value.shape], ['x', 10, ['batch', 77, null]]);
  });

  for (const [title, type, shape, dataType] of [
    ['no type', null, null, 0],
    ['a tensor of unknown rank', { tensorType: { elemType: 1 } }, null, 1],
    ['a scalar', { tensorType: { elemType: 7, shape: { dim: [] } } }, [], 7],
    ['a sequence', { sequenceType: { elemType: { tensorType: { elemType: 1 } } } }, null, 0],
  ] as const) {
    it(`of ${title} has shape ${JSON.stringify(shape)}`, () => {
      const value = valueInfo(type as Type | null);
      assert.deepEqual([value.shape, value.dataType], [shape, dataType]);
    });
  }

  for (const [from, to] of [
    [77, 81],
    [77, 'tokens'],
    ['tokens', 81],
    ['tokens', 'tokens + 4'],
    [77, null],
    [null, 81],
    [null, 'tokens'],
  ] as const) {
    it(`withDimension turns ${JSON.stringify(from)} into ${JSON.stringify(to)}`, () => {
      assert.deepEqual(shaped([2, from, 768]).withDimension(1, to).shape, [2, to, 768]);
    });

    it(`and ${JSON.stringify(to)} back into ${JSON.stringify(from)}, byte for byte`, () => {
      const value = shaped([2, from, 768]);
      assert.equal(hex(value.withDimension(1, to).withDimension(1, from)), hex(value));
    });
  }

  for (const [from, to] of [
    [[], ['batch']],
    [[1], ['batch', 3, null]],
    [['a', 2], []],
  ] as const)
    it(`withShape turns [${from}] into [${to}], and back byte for byte`, () => {
      const value = shaped(from);
      assert.deepEqual(value.withShape(to).shape, to);
      assert.equal(hex(value.withShape(to).withShape(from)), hex(value));
    });

  it('withDimension keeps denotations, unknown fields and the place', () => {
    const dim = [
      { dimParam: 'b', denotation: 'DATA_BATCH' },
      { dimParam: 'l', denotation: 'TOKENS' },
    ];
    const known = valueInfo({ tensorType: { elemType: 1, shape: { dim } }, denotation: 'TENSOR' });
    const value = new ValueInfo(Rope.join([known.record, record(2000, Uint8Array.of(1, 2))]), 3);
    const changed = value.withDimension(1, 9);
    const read = onnx.ValueInfoProto.decode(changed.record.bytes!);
    assert.equal(read.type?.denotation, 'TENSOR');
    assert.deepEqual(
      read.type?.tensorType?.shape?.dim?.map((each) => each.denotation),
      ['DATA_BATCH', 'TOKENS'],
    );
    assert.deepEqual(changed.shape, ['b', 9]);
    assert.deepEqual([...changed.record.bytes!.slice(-2)], [1, 2]);
    assert.equal(changed.place, 3);
  });
});
