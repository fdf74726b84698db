import fc from 'fast-check';
import { bufferSource } from '../../compiler/io/byte-source.js';
import { onnx } from '../../compiler/onnx/proto.js';
import { type Model, readModel } from '../../compiler/onnx/read-model.js';
import { ENTRY, GRAPH, MODEL } from '../../compiler/onnx/schema.js';
import { LARGE } from '../../compiler/wire/load-sparse.js';
import { Rope } from '../../compiler/wire/rope.js';
import { bytesOf } from '../../compiler/wire/segment-bytes.js';
import { integerRecord, record, textRecord } from '../../compiler/wire/splice.js';

/** A record of a field that no version of ONNX has: every reader must carry it. */
export const unknownRecord: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => record(2000, bytes).bytes!),
  fc.nat().map((value) => integerRecord(2001, value).bytes!),
);

/** Records that now and then have an unknown one behind them. */
function orUnknown(arbitrary: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(arbitrary, fc.option(unknownRecord, { freq: 3, nil: new Uint8Array(0) }))
    .map((parts) => new Uint8Array(Buffer.concat(parts)));
}

const dimension = fc.oneof(
  fc.nat(1000).map((dimValue) => ({ dimValue })),
  fc.constantFrom('batch_size', 'sequence').map((dimParam) => ({ dimParam })),
);

function valueInfo(name: string): fc.Arbitrary<Uint8Array> {
  return orUnknown(
    fc
      .array(dimension, { maxLength: 4 })
      .map((dim) =>
        onnx.ValueInfoProto.encode({ name, type: { tensorType: { elemType: 1, shape: { dim } } } }).finish(),
      ),
  );
}

function initializer(name: string): fc.Arbitrary<Uint8Array> {
  return orUnknown(
    fc.tuple(fc.constantFrom(0, 4, 100, LARGE - 1, LARGE, LARGE + 5), fc.nat(255)).map(([length, fill]) =>
      onnx.TensorProto.encode({
        name,
        dims: [length],
        dataType: 2,
        rawData: new Uint8Array(length).fill(fill),
      }).finish(),
    ),
  );
}

/** The n-th node reads any of the values before it, or nothing. */
function node(n: number, before: readonly string[]): fc.Arbitrary<Uint8Array> {
  return orUnknown(
    fc
      .record({ input: fc.array(fc.constantFrom('', ...before), { maxLength: 3 }), second: fc.boolean() })
      .map(({ input, second }) =>
        onnx.NodeProto.encode({
          opType: 'Op',
          name: `/node_${n}`,
          input,
          output: second ? [`value_${n}`, `other_${n}`] : [`value_${n}`],
          attribute: [{ name: 'axis', type: onnx.AttributeProto.AttributeType.INT, i: n }],
          docString: `node ${n}`,
        }).finish(),
      ),
  );
}

/** The bytes of a small legal model: records of all kinds in any order (nodes among themselves in theirs), some unknown. */
export const modelBytes: fc.Arbitrary<Uint8Array> = fc
  .record({
    nodes: fc.integer({ min: 1, max: 6 }),
    tensors: fc.nat(3),
    inputs: fc.integer({ min: 1, max: 3 }),
  })
  .chain(({ nodes, tensors, inputs }) => {
    const tensorNames = Array.from({ length: tensors }, (_, i) => `tensor_${i}`);
    const inputNames = Array.from({ length: inputs }, (_, i) => `input_${i}`);
    const given = [...tensorNames, ...inputNames];
    return fc.record({
      node: fc.tuple(
        ...Array.from({ length: nodes }, (_, n) =>
          node(n, [...given, ...Array.from({ length: n }, (_, earlier) => `value_${earlier}`)]),
        ),
      ),
      initializer: fc.tuple(...tensorNames.map(initializer)),
      input: fc.tuple(...inputNames.map(valueInfo)),
      output: valueInfo(`value_${nodes - 1}`).map((bytes) => [bytes]),
      strangers: fc.array(unknownRecord, { maxLength: 2 }),
      metadata: fc.uniqueArray(fc.constantFrom('author', 'licence', 'made'), { maxLength: 3 }),
      order: fc.array(fc.nat(1000), { minLength: 20, maxLength: 20 }),
      graphFirst: fc.boolean(),
    });
  })
  .map(({ node, initializer, input, output, strangers, metadata, order, graphFirst }) => {
    const queues = [
      of(GRAPH.node, node),
      of(GRAPH.initializer, initializer),
      of(GRAPH.input, input),
      of(GRAPH.output, output),
      strangers.map((bytes) => Rope.of(bytes)),
    ];
    const graph = record(
      MODEL.graph,
      Rope.join([textRecord(GRAPH.name, 'main'), ...shuffled(queues, order)]),
    );
    const opset = record(MODEL.opsetImport, integerRecord(2, 17));
    const entries = metadata.map((key) =>
      record(MODEL.metadata, Rope.join([textRecord(ENTRY.key, key), textRecord(ENTRY.value, `the ${key}`)])),
    );
    const parts = graphFirst ? [graph, opset, ...entries] : [opset, ...entries, graph];
    return Rope.join([integerRecord(MODEL.irVersion, 8), ...parts]).bytes!;
  });

function of(number: number, messages: readonly Uint8Array[]): Rope[] {
  return messages.map((bytes) => record(number, bytes));
}

/** Takes from the queues in a given order; within each queue the order stays. */
function shuffled(queues: readonly Rope[][], order: readonly number[]): Rope[] {
  const left = queues.map((queue) => [...queue]);
  const taken: Rope[] = [];
  for (let i = 0; left.some((queue) => queue.length > 0); i++) {
    const live = left.filter((queue) => queue.length > 0);
    taken.push(live[order[i % order.length]! % live.length]!.shift()!);
  }
  return taken;
}

export function open(bytes: Uint8Array): Promise<Model> {
  return readModel(bufferSource(bytes, 'generated.onnx'));
}

/** All bytes of a rope, in memory. */
export async function bytesIn(rope: Rope): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (const segment of rope.segments) for await (const bytes of bytesOf(segment)) parts.push(bytes.slice());
  return new Uint8Array(Buffer.concat(parts));
}
