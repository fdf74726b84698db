import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Node } from '../../../compiler/onnx/node.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { ATTRIBUTE, ENTRY, NODE } from '../../../compiler/onnx/schema.js';
import { fields } from '../../../compiler/wire/fields.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { integerRecord, record, textRecord } from '../../../compiler/wire/splice.js';
import { refusal } from '../../refusal.js';
import { unknownRecord } from '../generated-models.js';

const name = fc.string({ unit: 'grapheme', maxLength: 12 });
/** An attribute with a field of the future inside. */
const attribute = fc
  .tuple(name, fc.nat(), unknownRecord)
  .map(([key, value, stranger]) =>
    record(
      NODE.attribute,
      Rope.join([textRecord(ATTRIBUTE.name, key), integerRecord(3, value), Rope.of(stranger)]),
    ),
  );
const metadata = fc
  .tuple(name, name)
  .map(([key, value]) =>
    record(NODE.metadata, Rope.join([textRecord(ENTRY.key, key), textRecord(ENTRY.value, value)])),
  );
/** Records of a node in any order, unknown ones among them. */
const records = fc
  .tuple(
    fc.array(
      name.map((value) => textRecord(NODE.input, value)),
      { minLength: 1, maxLength: 4 },
    ),
    fc.array(
      fc.oneof(
        name.map((value) => textRecord(NODE.output, value)),
        attribute,
        metadata,
        name.map((value) => textRecord(NODE.docString, value)),
        name.map((value) => textRecord(NODE.domain, value)),
        name.map((value) => textRecord(NODE.overload, value)),
        unknownRecord.map((bytes) => Rope.of(bytes)),
      ),
      { maxLength: 8 },
    ),
    fc.array(fc.nat(20), { minLength: 12, maxLength: 12 }),
  )
  .map(([inputs, others, order]) =>
    others.reduce<Rope[]>((all, other, i) => all.toSpliced(order[i]! % (all.length + 1), 0, other), inputs),
  );

/** Each record as field number and raw content. */
function content(record: Rope): [number, string][] {
  return fields(record).map(({ number, start, end }) => [
    number,
    Buffer.from(record.slice(start, end).bytes!).toString('hex'),
  ]);
}

describe('Node.withInput', () => {
  it('changes one record and keeps every other byte', () => {
    fc.assert(
      fc.property(records, fc.nat(), name, (parts, pick, value) => {
        const node = new Node(Rope.join(parts), 0);
        const index = pick % node.inputs.length;
        const changed = node.withInput(index, value);
        assert.deepEqual(changed.inputs, node.inputs.with(index, value));
        const before = content(node.record);
        const at = before.findIndex(([number], i) => {
          const earlier = before.slice(0, i).filter((each) => each[0] === NODE.input).length;
          return number === NODE.input && earlier === index;
        });
        assert.deepEqual(content(changed.record).toSpliced(at, 1), before.toSpliced(at, 1));
      }),
    );
  });

  it('and back gives the same bytes', () => {
    fc.assert(
      fc.property(records, fc.nat(), name, (parts, pick, value) => {
        const node = new Node(Rope.join(parts), 7);
        const index = pick % node.inputs.length;
        const back = node.withInput(index, value).withInput(index, node.inputs[index]!);
        assert.deepEqual(Buffer.from(back.record.bytes!), Buffer.from(node.record.bytes!));
        assert.equal(back.place, 7);
      }),
    );
  });

  it('of an input that the node does not have changes nothing', () => {
    const node = new Node(Rope.of(onnx.NodeProto.encode({ input: ['a'], output: ['b'] }).finish()), 0);
    assert.deepEqual(Buffer.from(node.withInput(3, 'x').record.bytes!), Buffer.from(node.record.bytes!));
  });
});

describe('Node.clone', () => {
  it('carries attributes, domain, overload and unknown fields raw, in their order', () => {
    const own = new Set<number>([NODE.input, NODE.output, NODE.name, NODE.docString, NODE.metadata]);
    fc.assert(
      fc.property(records, (parts) => {
        const node = new Node(Rope.join(parts), 0);
        const clone = node.clone('/twin', ['x', ''], ['y']);
        const kept = (each: Rope) => content(each).filter(([number]) => !own.has(number));
        assert.deepEqual(kept(clone.record), kept(node.record));
      }),
    );
  });

  it('has its own name, inputs and outputs, and stands nowhere in the base file', () => {
    fc.assert(
      fc.property(records, (parts) => {
        const clone = new Node(Rope.join(parts), 42).clone('/twin', ['x', '', 'z'], ['y']);
        assert.deepEqual(
          [clone.name, clone.inputs, clone.outputs, clone.place],
          ['/twin', ['x', '', 'z'], ['y'], null],
        );
      }),
    );
  });

  it('leaves what describes the base node with the base node', () => {
    const node = new Node(
      Rope.join([
        textRecord(NODE.opType, 'Softmax'),
        textRecord(NODE.docString, 'traced at line 12'),
        record(
          NODE.metadata,
          Rope.join([textRecord(ENTRY.key, 'namespace'), textRecord(ENTRY.value, 'a/b')]),
        ),
      ]),
      0,
    );
    const clone = node.clone('/twin', [], ['y']);
    assert.equal(clone.opType, 'Softmax');
    assert.equal(clone.metadata('namespace'), undefined);
    assert.ok(!content(clone.record).some(([number]) => number === NODE.docString));
  });
});

describe('Node', () => {
  const node = new Node(
    Rope.join([
      Rope.of(
        onnx.NodeProto.encode({
          opType: 'Attention',
          domain: 'com.microsoft',
          input: ['q', '', 'v'],
          output: ['', 'y'],
          attribute: [{ name: 'heads', type: onnx.AttributeProto.AttributeType.INT, i: 8 }],
        }).finish(),
      ),
      record(NODE.metadata, textRecord(ENTRY.key, 'bare')),
      record(NODE.metadata, Rope.join([textRecord(ENTRY.key, 'namespace'), textRecord(ENTRY.value, 'unet')])),
    ]),
    null,
  );

  it('is known by the first value that it makes', () => {
    assert.equal(node.id, 'y');
  });

  it('without a name is called by what it makes', () => {
    assert.equal(node.label, 'Attention → y');
  });

  it('keeps the places of inputs that are not given', () => {
    assert.deepEqual(node.inputs, ['q', '', 'v']);
  });

  for (const [title, bytes] of [
    ['is cut off', [0x0a, 0x05, 0x61]],
    ['has a varint without an end', new Array(12).fill(0xff)],
  ] as const) {
    it(`refuses an attribute that ${title}`, () => {
      const damaged = new Node(record(NODE.attribute, Uint8Array.from(bytes)), 0);
      assert.throws(() => damaged.attribute('axis'), refusal('WIRE_MALFORMED', 'WIRE_TRUNCATED'));
    });
  }

  it('tells its attributes, its domain and its metadata', () => {
    assert.deepEqual(
      [Number(node.attribute('heads')?.i), node.attribute('none'), node.domain],
      [8, undefined, 'com.microsoft'],
    );
    assert.deepEqual(
      ['namespace', 'bare', 'none'].map((key) => node.metadata(key)),
      ['unet', undefined, undefined],
    );
  });
});
