import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type ByteSource, bufferSource, rangeSource } from '../../../compiler/io/byte-source.js';
import { ATTRIBUTE, GRAPH, MODEL, modelMessage, NODE, TENSOR } from '../../../compiler/onnx/schema.js';
import { LARGE, loadSparse, type MessageType } from '../../../compiler/wire/load-sparse.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { bytesOf } from '../../../compiler/wire/segment-bytes.js';
import { record, textRecord } from '../../../compiler/wire/splice.js';
import { refusal } from '../../refusal.js';

/** A source that says how much of it was read. */
function counting(source: ByteSource): { readonly source: ByteSource; bytesRead: number } {
  const counted = { bytesRead: 0 };
  const read = (offset: number, length: number) => {
    counted.bytesRead += length;
    return source.read(offset, length);
  };
  return Object.assign(counted, { source: rangeSource(source.name, source.size, read) });
}

/** A rope as a file; what is produced reads as zeros and takes no memory. */
function fileOf(rope: Rope): ByteSource {
  return rangeSource('virtual.onnx', rope.length, async (offset, length) => {
    const bytes = new Uint8Array(length);
    for (let position = offset; position < offset + length; ) {
      const { segment, start } = rope.segmentAt(position)!;
      const end = Math.min(offset + length, start + segment.length);
      if (segment.kind === 'loaded')
        bytes.set(segment.bytes.subarray(position - start, end - start), position - offset);
      position = end;
    }
    return bytes;
  });
}

function zeros(length: number): Rope {
  return new Rope([{ kind: 'produced', length, async *produce() {} }]);
}

function tensor(name: string, data: Rope): Rope {
  return Rope.join([textRecord(TENSOR.name, name), record(TENSOR.rawData, data)]);
}

async function bytesIn(rope: Rope): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (const segment of rope.segments) for await (const bytes of bytesOf(segment)) parts.push(bytes);
  return Buffer.concat(parts);
}

function holes(rope: Rope): number[] {
  return rope.segments.filter((segment) => segment.kind === 'stored').map((segment) => segment.length);
}

describe('loadSparse', () => {
  it('indexes a model of 6 GB by reading some kilobytes', async () => {
    const tensors = Array.from({ length: 60 }, (_, i) =>
      record(GRAPH.initializer, tensor(`weight_${i}`, zeros(100_000_000))),
    );
    const file = Rope.join([
      textRecord(MODEL.producerName, 'pytorch'),
      record(MODEL.graph, Rope.join([...tensors, textRecord(GRAPH.name, 'main')])),
      textRecord(MODEL.opsetImport, ''),
    ]);
    const counted = counting(fileOf(file));
    const loaded = await loadSparse(counted.source, modelMessage);
    assert.equal(loaded.length, file.length);
    assert.deepEqual(holes(loaded), new Array(60).fill(100_000_000));
    assert.ok(counted.bytesRead < 1_000_000, `${counted.bytesRead} bytes were read`);
  });

  it('reads every byte that it keeps, once', async () => {
    const bytes = new Uint8Array(await bytesIn(record(1, new Uint8Array(LARGE - 10))));
    const counted = counting(bufferSource(bytes));
    await loadSparse(counted.source, {});
    assert.equal(counted.bytesRead, bytes.length);
  });

  const big = zeros(LARGE);
  const constant = record(NODE.attribute, record(ATTRIBUTE.tensor, tensor('constant', big)));
  const subgraph = record(ATTRIBUTE.graph, record(GRAPH.node, constant));
  for (const [title, content, expected] of [
    ['an initializer', record(GRAPH.initializer, tensor('w', big)), [LARGE]],
    ['an initializer that is a byte too small', record(GRAPH.initializer, tensor('w', zeros(LARGE - 1))), []],
    ['a Constant node', record(GRAPH.node, constant), [LARGE]],
    ['a Constant node inside an If', record(GRAPH.node, record(NODE.attribute, subgraph)), [LARGE]],
    [
      'the values of a sparse initializer',
      record(GRAPH.sparseInitializer, record(1, tensor('values', big))),
      [LARGE],
    ],
    ['a field that is not known', record(999, big), [LARGE]],
  ] as const) {
    it(`${expected.length > 0 ? 'leaves in the file' : 'loads'} the data of ${title}`, async () => {
      const loaded = await loadSparse(fileOf(record(MODEL.graph, content)), modelMessage);
      assert.deepEqual(holes(loaded), expected);
    });
  }

  it('loads metadata, however long', async () => {
    const loaded = await loadSparse(fileOf(record(MODEL.metadata, zeros(10 * LARGE))), modelMessage);
    assert.deepEqual(holes(loaded), []);
  });

  it('keeps every byte of any message', async () => {
    const type: MessageType = { 1: { 1: { 2: 'loaded' }, 3: {} }, 2: 'loaded' };
    const leaf = fc
      .tuple(
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(0, 1, 100, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE),
      )
      .map(([number, length]) => record(number, new Uint8Array(length).fill(number)));
    const branch = (inner: fc.Arbitrary<Rope>) =>
      fc
        .tuple(fc.integer({ min: 1, max: 2 }), fc.array(inner, { maxLength: 4 }))
        .map(([number, parts]) => record(number, Rope.join(parts)));
    const message = fc.array(fc.oneof(leaf, branch(leaf)), { maxLength: 5 }).map((parts) => Rope.join(parts));
    await fc.assert(
      fc.asyncProperty(message, async (original) => {
        const bytes = await bytesIn(original);
        // Not everything is a message of the type: then the refusal is ours.
        const loaded = await loadSparse(bufferSource(bytes), type).catch(
          refusal('WIRE_MALFORMED', 'WIRE_TRUNCATED'),
        );
        if (loaded instanceof Rope) assert.ok((await bytesIn(loaded)).equals(bytes));
      }),
      { numRuns: 60 },
    );
  });

  it('refuses a record that runs past the message that holds it', async () => {
    const inner = Rope.join([Rope.of(Uint8Array.of(0x0a, 0xff, 0xff, 0x7f)), zeros(LARGE)]);
    const file = Rope.join([record(MODEL.graph, inner), zeros(2 ** 21 + LARGE)]);
    await assert.rejects(loadSparse(fileOf(file), modelMessage), refusal('WIRE_TRUNCATED'));
  });

  it('refuses a length beyond the file without making room for it', async () => {
    const claim = Rope.of(Uint8Array.of(0x72, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01));
    await assert.rejects(loadSparse(fileOf(claim), modelMessage), refusal('WIRE_TRUNCATED'));
  });

  it('refuses messages nested without end', async () => {
    const type: Record<number, MessageType> = {};
    type[1] = type;
    let nested = zeros(LARGE);
    for (let depth = 0; depth < 200; depth++) nested = record(1, nested);
    await assert.rejects(loadSparse(fileOf(nested), type), refusal('WIRE_MALFORMED'));
  });
});
