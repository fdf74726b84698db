import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import { configuredModel } from '../../runtime/serve/config/configured-model.js';
import { NO_CONFIG } from '../../runtime/serve/config/model-config.js';
import { echoModel, failing } from './echo-model.js';
import { encode } from './grpc-client.js';
import { fp32, startGrpc, stopGrpc } from './grpc-server.js';
import { ask } from './http-server.js';

/** Elements at the edges of what a datatype holds, in its typed field and as bytes. */
const TYPED: readonly (readonly [string, string, unknown[], Buffer])[] = [
  ['BOOL', 'bool_contents', [true, false, true], Buffer.of(1, 0, 1)],
  ['INT8', 'int_contents', [-128, 127, 0], Buffer.from(Int8Array.of(-128, 127, 0).buffer)],
  ['INT16', 'int_contents', [-32768, 32767, 1], Buffer.from(Int16Array.of(-32768, 32767, 1).buffer)],
  [
    'INT32',
    'int_contents',
    [-(2 ** 31), 2 ** 31 - 1],
    Buffer.from(Int32Array.of(-(2 ** 31), 2 ** 31 - 1).buffer),
  ],
  [
    'INT64',
    'int64_contents',
    ['-9223372036854775808', '9223372036854775807', '9007199254740993'],
    Buffer.from(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n + 1n).buffer),
  ],
  ['UINT8', 'uint_contents', [255, 0], Buffer.of(255, 0)],
  ['UINT16', 'uint_contents', [65535, 256], Buffer.from(Uint16Array.of(65535, 256).buffer)],
  ['UINT32', 'uint_contents', [2 ** 32 - 1, 1], Buffer.from(Uint32Array.of(2 ** 32 - 1, 1).buffer)],
  [
    'UINT64',
    'uint64_contents',
    ['18446744073709551615', '1'],
    Buffer.from(BigUint64Array.of(2n ** 64n - 1n, 1n).buffer),
  ],
  [
    'FP32',
    'fp32_contents',
    [Number.NaN, Number.NEGATIVE_INFINITY, -0, 1e-45],
    Buffer.from(Float32Array.of(Number.NaN, Number.NEGATIVE_INFINITY, -0, 1e-45).buffer),
  ],
  ['FP64', 'fp64_contents', [5e-324, -1.5], Buffer.from(Float64Array.of(5e-324, -1.5).buffer)],
  [
    'BYTES',
    'bytes_contents',
    [Buffer.from(''), Buffer.from('Größe'), Buffer.of(0xff)],
    Buffer.concat([
      Buffer.of(0, 0, 0, 0),
      Buffer.of(7, 0, 0, 0),
      Buffer.from('Größe'),
      Buffer.of(1, 0, 0, 0, 0xff),
    ]),
  ],
];

/** A request of one input. */
function one(datatype: string, shape: readonly number[], rest: object) {
  const { contents, raw } = rest as { contents?: object; raw?: Buffer };
  return {
    model_name: 'echo',
    inputs: [{ name: datatype, datatype, shape, ...(contents && { contents }) }],
    outputs: [{ name: `${datatype}_out` }],
    ...(raw && { raw_input_contents: [raw] }),
  };
}

/** A varint of protobuf. */
const varint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
/** A field of bytes. */
const field = (number: number, bytes: Buffer) =>
  Buffer.concat([Buffer.of((number << 3) | 2), Buffer.from(varint(bytes.length)), bytes]);

describe('inference over gRPC', () => {
  afterEach(stopGrpc);

  it('typed contents of every datatype are answered raw, bit for bit; so are raw ones', async () => {
    const { client } = await startGrpc();
    for (const [datatype, name, values, bytes] of TYPED)
      for (const rest of [{ contents: { [name]: values } }, { raw: bytes }]) {
        const { code, details, answer } = await client.call(
          'ModelInfer',
          one(datatype, [values.length], rest),
        );
        assert.equal(code, 0, `${datatype}: ${details}`);
        assert.deepEqual(answer.raw_output_contents, [bytes], datatype);
        const [output] = answer.outputs;
        assert.deepEqual(
          [output.name, output.datatype, output.shape, output.contents],
          [`${datatype}_out`, datatype, [values.length], null],
        );
        assert.deepEqual([answer.model_name, answer.model_version], ['echo', '1']);
      }
    for (const datatype of ['FP16', 'BF16']) {
      const raw = Buffer.of(1, 2, 3, 4);
      const { answer } = await client.call('ModelInfer', one(datatype, [2], { raw }));
      assert.deepEqual(answer.raw_output_contents, [raw]);
      const { code, details } = await client.call('ModelInfer', one(datatype, [2], {}));
      assert.equal(code, status.INVALID_ARGUMENT);
      assert.match(details, /has no typed contents: send it in raw_input_contents/);
    }
  });

  it('elements that are not packed are elements too, and no elements are none', async () => {
    const { client } = await startGrpc();
    const unpacked = Buffer.concat([
      Buffer.of((3 << 3) | 0, 5),
      field(3, Buffer.of(6, 7)),
      Buffer.of((3 << 3) | 0, 8),
    ]);
    const tensor = Buffer.concat([
      encode('Tensor', { name: 'INT64', datatype: 'INT64', shape: [4] }),
      field(5, unpacked),
    ]);
    const request = Buffer.concat([
      encode('InferRequest', { model_name: 'echo', outputs: [{ name: 'INT64_out' }] }),
      field(5, tensor),
    ]);
    const { answer } = await client.call('ModelInfer', request);
    assert.deepEqual(answer.raw_output_contents, [Buffer.from(BigInt64Array.of(5n, 6n, 7n, 8n).buffer)]);
    const empty = await client.call('ModelInfer', one('FP32', [0], {}));
    assert.deepEqual([empty.code, empty.answer.raw_output_contents], [0, [Buffer.alloc(0)]]);
  });

  it('id, version, timeout and outputs are the request’s; other parameters are let through', async () => {
    const model = echoModel();
    const { client } = await startGrpc({ echo: model });
    const request = {
      ...fp32(1),
      id: 'mine',
      model_version: '1',
      parameters: {
        timeout: { int64_param: 1500 },
        priority: { uint64_param: 3 },
        seed: { double_param: 1.5 },
        note: { string_param: 'x' },
        ['__proto__']: { bool_param: true },
      },
    };
    const { code, answer } = await client.call('ModelInfer', request);
    assert.deepEqual([code, answer.id], [0, 'mine']);
    assert.equal(model.asked.timeout, 1.5);
    assert.deepEqual(model.asked.outputs, ['FP32_out']);
    const named = await client.call('ModelInfer', fp32(1), { metadata: { 'x-request-id': 'from-metadata' } });
    assert.equal(named.answer.id, 'from-metadata');
    assert.deepEqual(named.trailers.get('x-request-id'), ['from-metadata']);
    const none = await client.call('ModelInfer', fp32(1), { metadata: { 'x-request-id': 'not an id' } });
    assert.match(none.answer.id, /^[\da-f-]{36}$/);
  });

  it('refuses what does not fit, as HTTP does and with its words', async () => {
    const { client } = await startGrpc();
    const [input] = fp32(1, 2).inputs;
    const cases: readonly (readonly [object, number, RegExp])[] = [
      [
        { ...fp32(1), model_name: 'nothing' },
        status.NOT_FOUND,
        /^Request for unknown model: 'nothing' is not found$/,
      ],
      [{ ...fp32(1), model_version: '7' }, status.NOT_FOUND, /version 7/],
      [{ ...fp32(1), model_version: 'x' }, status.INVALID_ARGUMENT, /no version/],
      [{ ...fp32(1), model_name: '../etc' }, status.INVALID_ARGUMENT, /no model's name/],
      [{ ...fp32(1), model_name: '__proto__' }, status.INVALID_ARGUMENT, /no model's name/],
      [{ ...fp32(1), model_name: 'constructor' }, status.NOT_FOUND, /constructor/],
      [
        { ...fp32(1, 2), inputs: [{ ...input!, shape: [3] }] },
        status.INVALID_ARGUMENT,
        /“FP32” \(FP32 \[3\]\): sought 12 bytes, found 8/,
      ],
      [
        { ...fp32(1, 2), inputs: [{ ...input!, shape: [-2] }] },
        status.INVALID_ARGUMENT,
        /sought dimensions from 0 on, found -2/,
      ],
      [
        { ...fp32(1, 2), inputs: [{ ...input!, shape: ['9223372036854775807', 8] }] },
        status.INVALID_ARGUMENT,
        /sought dimensions from 0 on/,
      ],
      [
        { ...fp32(1, 2), inputs: [{ ...input!, shape: [2 ** 30, 2 ** 30] }] },
        status.INVALID_ARGUMENT,
        /byte size of this shape overflows/,
      ],
      [
        { ...fp32(1), inputs: [{ ...input!, datatype: 'FLOAT' }] },
        status.INVALID_ARGUMENT,
        /datatype: sought one of BOOL, .*, found “FLOAT”/,
      ],
      [
        { ...fp32(1), inputs: [{ ...input!, datatype: '__proto__' }] },
        status.INVALID_ARGUMENT,
        /found “__proto__”/,
      ],
      [
        { ...fp32(1), inputs: [input, input], raw_input_contents: [Buffer.alloc(8), Buffer.alloc(8)] },
        status.INVALID_ARGUMENT,
        /is there twice/,
      ],
      [{ ...fp32(1), outputs: [{ name: 'y' }] }, status.INVALID_ARGUMENT, /output “y”: the model has none/],
      [
        { ...fp32(1), outputs: [{ name: 'FP32_out' }, { name: 'FP32_out' }] },
        status.INVALID_ARGUMENT,
        /asked for twice/,
      ],
      [{ ...fp32(1), raw_input_contents: [] }, status.INVALID_ARGUMENT, /sought 1 elements, found 0/],
      [
        { ...fp32(1), raw_input_contents: [Buffer.alloc(4), Buffer.alloc(4)] },
        status.INVALID_ARGUMENT,
        /raw_input_contents: sought 1, one of each input, found 2/,
      ],
      [
        { ...fp32(1), inputs: [{ ...input!, shape: [1], contents: { fp32_contents: [1] } }] },
        status.INVALID_ARGUMENT,
        /found both/,
      ],
      [
        { ...fp32(1), parameters: { sequence_id: { int64_param: 3 } } },
        status.INVALID_ARGUMENT,
        /sequences are not served/,
      ],
      [{ ...fp32(1), parameters: { triton_x: { bool_param: true } } }, status.INVALID_ARGUMENT, /reserved/],
      [
        { ...fp32(1), parameters: { timeout: { string_param: '5' } } },
        status.INVALID_ARGUMENT,
        /“timeout”: sought microseconds/,
      ],
      [{ ...fp32(1), parameters: { timeout: { int64_param: -5 } } }, status.INVALID_ARGUMENT, /“timeout”/],
      [
        { ...fp32(1), inputs: [{ ...input!, parameters: { shared_memory_region: { string_param: 'r' } } }] },
        status.INVALID_ARGUMENT,
        /shared memory/,
      ],
      [
        { ...fp32(1), outputs: [{ name: 'FP32_out', parameters: { classification: { int64_param: 2 } } }] },
        status.INVALID_ARGUMENT,
        /classification/,
      ],
      [
        one('FP32', [2], { contents: { fp64_contents: [1, 2] } }),
        status.INVALID_ARGUMENT,
        /sought fp32_contents, found fp64_contents/,
      ],
      [
        one('FP32', [2], { contents: { fp32_contents: [1] } }),
        status.INVALID_ARGUMENT,
        /sought 2 elements, found 1/,
      ],
      [
        one('INT8', [1], { contents: { int_contents: [128] } }),
        status.INVALID_ARGUMENT,
        /from -128 to 127, found 128/,
      ],
      [
        one('UINT16', [1], { contents: { uint_contents: [65536] } }),
        status.INVALID_ARGUMENT,
        /from 0 to 65535, found 65536/,
      ],
      [
        one('BYTES', [2], { contents: { bytes_contents: [Buffer.from('a')] } }),
        status.INVALID_ARGUMENT,
        /sought 2 elements, found 1/,
      ],
      [
        one('BYTES', [1], { raw: Buffer.of(9, 0, 0, 0, 1) }),
        status.INVALID_ARGUMENT,
        /sought 9 bytes, found 1/,
      ],
      [
        one('BYTES', [2], { raw: Buffer.of(0, 0, 0, 0, 1) }),
        status.INVALID_ARGUMENT,
        /sought 4 bytes of length/,
      ],
      [one('BOOL', [1], { raw: Buffer.of(2) }), status.INVALID_ARGUMENT, /sought bytes 0 and 1/],
      [Buffer.from('not protobuf at all'), status.INVALID_ARGUMENT, /the message is no ModelInferRequest/],
      [
        encode('InferRequest', fp32(1)).subarray(0, -2),
        status.INVALID_ARGUMENT,
        /the message is no ModelInferRequest/,
      ],
    ];
    for (const [request, code, text] of cases) {
      const found = await client.call('ModelInfer', request);
      assert.match(found.details, text);
      assert.equal(found.code, code, found.details);
      assert.doesNotMatch(found.details, /\/work|node_modules|\.js|\n/);
    }
  });

  it('refuses contents that are cut off, or hold lists of nothing', async () => {
    const { client } = await startGrpc(undefined, { maxBody: 64 * 1024 * 1024 });
    const request = (contents: Buffer, shape = [1]) => {
      const tensor = [encode('Tensor', { name: 'INT64', datatype: 'INT64', shape }), field(5, contents)];
      return Buffer.concat([encode('InferRequest', { model_name: 'echo' }), field(5, Buffer.concat(tensor))]);
    };
    for (const contents of [
      Buffer.of((3 << 3) | 0),
      Buffer.of((3 << 3) | 2, 9, 1),
      field(3, Buffer.of(0x80)),
      field(3, Buffer.of(1, 0x80)),
      field(3, Buffer.of(...new Array(11).fill(0x80), 1)),
      Buffer.of((3 << 3) | 5, 1, 2, 3, 4),
    ]) {
      const { code, details } = await client.call('ModelInfer', request(contents));
      assert.match(details, /contents are cut off|sought 1 elements/);
      assert.equal(code, status.INVALID_ARGUMENT);
    }
    // Two bytes each, which would be hundreds of megabytes of objects.
    const lists: readonly Buffer[] = [
      Buffer.alloc(1_000_000, Buffer.of((5 << 3) | 2, 0)),
      Buffer.alloc(1_000_000, Buffer.of((7 << 3) | 2, 0)),
      Buffer.alloc(1_000_000, Buffer.of((6 << 3) | 2, 0)),
      field(5, field(3, Buffer.alloc(1_000_000, 1))),
    ];
    for (const bytes of lists) {
      const { code, details } = await client.call('ModelInfer', bytes);
      assert.match(details, /sought 262144 bytes beside the elements of tensors, found 1\d{6}/);
      assert.equal(code, status.RESOURCE_EXHAUSTED);
    }
  });

  it('says what a model says, with the code that is meant; what may name files stays in the log', async () => {
    const model = echoModel();
    const { client, url, log } = await startGrpc({ echo: model });
    for (const [code, error, text] of [
      [status.INVALID_ARGUMENT, failing('SERVER_INPUT', 'input “a”: no'), /^input “a”: no$/],
      [status.UNAVAILABLE, failing('SERVER_BUSY', 'busy'), /^busy$/],
      [status.DEADLINE_EXCEEDED, failing('SERVER_TIMEOUT', 'too long'), /^too long$/],
      [status.CANCELLED, failing('SERVER_CANCELLED', 'given up'), /^given up$/],
      [
        status.INTERNAL,
        failing('SERVER_WORKER_LOST', 'gone: /srv/x'),
        /ended before it had answered: ask again$/,
      ],
      [
        status.INTERNAL,
        failing('RUNTIME_RUN', 'at /srv/model.onnx'),
        /the server's log says why: request the-id$/,
      ],
      [
        status.INTERNAL,
        () => {
          throw new Error('/srv/secret');
        },
        /^internal error; the server's log says more: request the-id$/,
      ],
    ] as const) {
      model.next.push(error);
      const metadata = { 'x-request-id': 'the-id' };
      const found = await client.call('ModelInfer', fp32(1), { metadata });
      assert.equal(found.code, code);
      assert.match(found.details, text);
      const isRejected = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED].includes(code as never);
      assert.deepEqual(found.trailers.get('retry-after'), isRejected ? ['1'] : []);
      assert.deepEqual(found.trailers.get('grpc-retry-pushback-ms'), isRejected ? ['1000'] : []);
    }
    assert.match(JSON.stringify(log), /\/srv\/model\.onnx.*\/srv\/secret/);
    const { json } = await ask(`${url}/v2/models/echo/stats`);
    assert.equal(json.model_stats[0].inference_stats.fail.count, 7);
    const metrics = String((await ask(`${url}/metrics`)).bytes);
    for (const [reason, count] of Object.entries({ REJECTED: 2, CANCELED: 1, BACKEND: 2, OTHER: 2 }))
      assert.ok(metrics.includes(`version="1",reason="${reason}"} ${count}`), reason);
  });

  it('long messages are cut where clients would not take them', async () => {
    const model = echoModel();
    const { client } = await startGrpc({ echo: model });
    model.next.push(failing('SERVER_INPUT', `begin ${'🙂'.repeat(10_000)}`));
    const { code, details } = await client.call('ModelInfer', fp32(1));
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.match(details, /^begin (🙂)+…$/u);
  });

  it('a thousand bad calls, in any form, leave the server ready', async () => {
    const strict = echoModel([{ name: 'FP32', datatype: 'FP32', shape: [-1], optional: false }]);
    const { client, url } = await startGrpc({ echo: configuredModel(strict, NO_CONFIG, 'echo') });
    const good = encode('InferRequest', fp32(1, 2, 3));
    let state = 1;
    const random = (below: number) => {
      state = (state * 48271) % 2147483647;
      return state % below;
    };
    for (let round = 0; round < 1000; round += 50) {
      const calls = Array.from({ length: 50 }, () => {
        const bytes = Buffer.from(good);
        for (let i = 0; i <= random(4); i++) bytes[random(bytes.length)] = random(256);
        return client.call('ModelInfer', bytes.subarray(0, 1 + random(bytes.length)));
      });
      for (const { code, details } of await Promise.all(calls)) {
        assert.ok(
          [status.OK, status.INVALID_ARGUMENT, status.NOT_FOUND, status.RESOURCE_EXHAUSTED].includes(code),
          details,
        );
        assert.doesNotMatch(details, /\/|\.js/);
      }
    }
    assert.deepEqual((await client.call('ServerReady')).answer, { ready: true });
    assert.equal((await ask(`${url}/v2/health/ready`)).status, 200);
    assert.equal((await client.call('ModelInfer', fp32(4))).code, 0);
  });
});
