import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { status } from '@grpc/grpc-js';
import { RateLimit } from '../../runtime/serve/rate-limit.js';
import { echoModel, untilCancelled } from './echo-model.js';
import { encode, type MethodName } from './grpc-client.js';
import { fp32, grpcClient, startGrpc, stopGrpc } from './grpc-server.js';
import { ask, emptyRepository } from './http-server.js';
import { until } from './processes.js';

const bearer = (token: string) => ({ metadata: { authorization: `Bearer ${token}` } });
const OPEN: readonly (readonly [MethodName, object])[] = [
  ['ServerLive', {}],
  ['ServerReady', {}],
  ['ModelReady', { name: 'echo' }],
  ['Check', {}],
  ['Check', { service: 'inference.GRPCInferenceService' }],
];
const GUARDED: readonly (readonly [MethodName, object])[] = [
  ['ServerMetadata', {}],
  ['ModelMetadata', { name: 'echo' }],
  ['ModelConfig', { name: 'echo' }],
  ['ModelStatistics', {}],
  ['ModelInfer', fp32(1)],
  ['RepositoryIndex', {}],
];

describe('what gRPC says of the server and its models', () => {
  afterEach(stopGrpc);

  it('the same as HTTP, in its own form', async () => {
    const { client, url } = await startGrpc({ echo: echoModel() });
    await client.call('ModelInfer', fp32(1));
    const http = async (path: string) => (await ask(url + path)).json;
    const told = async (method: MethodName, request = {}) => (await client.call(method, request)).answer;
    assert.deepEqual(await told('ServerLive'), { live: true });
    assert.deepEqual(await told('ServerMetadata'), await http('/v2'));
    const metadata = await told('ModelMetadata', { name: 'echo', version: '1' });
    assert.deepEqual(metadata, await http('/v2/models/echo'));
    const statistics = await told('ModelStatistics', { name: 'echo' });
    const { response_stats, memory_usage, ...expected } = (await http('/v2/models/echo/stats'))
      .model_stats[0];
    assert.deepEqual([response_stats, memory_usage], [{}, []]);
    assert.deepEqual(statistics.model_stats, [expected]);
    assert.equal(expected.inference_stats.success.count, 1);
    assert.deepEqual(await told('ModelStatistics'), statistics);
    assert.deepEqual((await told('RepositoryIndex')).models, [
      { name: 'echo', version: '1', state: 'READY', reason: '' },
    ]);
    for (const [request, ready] of [
      [{ name: 'echo' }, true],
      [{ name: 'echo', version: '2' }, false],
      [{ name: 'nothing' }, false],
    ] as const)
      assert.deepEqual(await told('ModelReady', request), { ready });
    for (const method of ['ModelMetadata', 'ModelConfig', 'ModelStatistics'] as const)
      assert.equal((await client.call(method, { name: 'nothing' })).code, status.NOT_FOUND);
    assert.equal((await client.call('RepositoryIndex', { repository_name: 'r' })).code, status.UNIMPLEMENTED);
  });

  it('each call is a line of the log, with its id; probes are none', async () => {
    const { client, log } = await startGrpc();
    await client.call('ServerReady');
    await client.call('ModelInfer', fp32(1), { metadata: { 'x-request-id': 'a' } });
    await client.call('ModelMetadata', { name: 'no' }, { metadata: { 'x-request-id': 'b' } });
    await until(() => log.filter(({ msg }) => msg === 'answered').length === 2);
    const service = '/inference.GRPCInferenceService';
    assert.deepEqual(
      log.filter(({ msg }) => msg === 'answered').map(({ reqId, method, status }) => [reqId, method, status]),
      [
        ['a', `${service}/ModelInfer`, 'OK'],
        ['b', `${service}/ModelMetadata`, 'NOT_FOUND'],
      ],
    );
  });

  it('models are loaded and unloaded, with all that HTTP asks for', async () => {
    const { client } = await startGrpc(undefined, { modelControl: 'explicit' });
    const state = async (request = {}) =>
      (await client.call('RepositoryIndex', request)).answer.models.map(
        (row: { state: string }) => row.state,
      );
    assert.deepEqual([await state(), await state({ ready: true })], [['UNAVAILABLE'], []]);
    const model = { model_name: 'echo' };
    assert.equal((await client.call('ModelInfer', fp32(1))).code, status.NOT_FOUND);
    assert.equal((await client.call('RepositoryModelLoad', model)).code, 0);
    assert.deepEqual(await state({ ready: true }), ['READY']);
    const parameters = { unload_dependents: { bool_param: true } };
    assert.equal((await client.call('RepositoryModelUnload', { ...model, parameters })).code, 0);
    const gone = await client.call('ModelInfer', fp32(1));
    assert.deepEqual(
      [gone.code, gone.details],
      [status.UNAVAILABLE, 'model “echo” is not ready: it is not loaded'],
    );
    for (const [request, code, text] of [
      [{ model_name: 'nothing' }, status.NOT_FOUND, /unknown model/],
      [{ model_name: '../x' }, status.INVALID_ARGUMENT, /no model's name/],
      [
        { ...model, parameters: { config: { string_param: '{}' } } },
        status.UNIMPLEMENTED,
        /sought no parameters/,
      ],
      [
        { ...model, parameters: { ['__proto__']: { string_param: '{}' } } },
        status.UNIMPLEMENTED,
        /sought no parameters/,
      ],
      [{ ...model, repository_name: 'r' }, status.UNIMPLEMENTED, /one repository/],
      [
        { ...model, parameters: { 'file:1/model.onnx': { bytes_param: Buffer.alloc(300_000) } } },
        status.RESOURCE_EXHAUSTED,
        /exceeds the maximum allowed/,
      ],
    ] as const) {
      const found = await client.call('RepositoryModelLoad', request);
      assert.match(found.details, text);
      assert.equal(found.code, code);
    }
  });

  it('a model that does not load is told so, its file only to the log', async () => {
    const { client, log } = await startGrpc(undefined, {
      modelControl: 'explicit',
      loadModel: async () => {
        throw new Error('/srv/models/echo/1/model.onnx is broken');
      },
    });
    const metadata = { 'x-request-id': 'the-id' };
    const { code, details } = await client.call('RepositoryModelLoad', { model_name: 'echo' }, { metadata });
    assert.deepEqual(
      [code, details],
      [status.INVALID_ARGUMENT, "failed to load “echo”; the server's log says why: request the-id"],
    );
    assert.match(JSON.stringify(log), /is broken/);
  });

  it('an ensemble’s configuration and a written one are told in full', async () => {
    const folder = emptyRepository('echo/1');
    writeFileSync(
      `${folder}/echo/config.pbtxt`,
      `max_batch_size: 4 instance_group { count: 2 } parameters { key: "intra_op_thread_count" value { string_value: "3" } }
       dynamic_batching { default_queue_policy { max_queue_size: 7 default_timeout_microseconds: 5000 } }
       response_cache { enable: true } version_policy { specific { versions: 1 } }
       model_warmup { name: "w" batch_size: 1 inputs { key: "__proto__" value { data_type: TYPE_FP32 dims: 2 zero_data: true } } }`,
    );
    const input = { name: '__proto__', datatype: 'FP32', shape: [-1, 2], optional: false } as const;
    const { client } = await startGrpc({ echo: echoModel([input]) }, { folder });
    const { config } = (await client.call('ModelConfig', { name: 'echo' })).answer;
    assert.deepEqual(
      [config.name, config.platform, config.backend, config.max_batch_size, config.default_model_filename],
      ['echo', 'onnxruntime_onnx', 'onnxruntime', 4, 'model.onnx'],
    );
    assert.deepEqual(config.version_policy, { specific: { versions: [1] } });
    assert.deepEqual(config.instance_group, [{ name: 'echo', count: 2, kind: 0 }]);
    assert.deepEqual(config.parameters, { intra_op_thread_count: { string_value: '3' } });
    assert.deepEqual(config.dynamic_batching, {
      default_queue_policy: { default_timeout_microseconds: 5000, max_queue_size: 7 },
    });
    assert.deepEqual(config.response_cache, { enable: true });
    assert.deepEqual(config.input, [{ name: '__proto__', data_type: 11 }]);
    const [warmup] = config.model_warmup;
    assert.deepEqual(Object.entries(warmup.inputs), [
      ['__proto__', { data_type: 11, dims: [2], zero_data: true, random_data: false }],
    ]);
  });
});

describe('who may call', () => {
  afterEach(stopGrpc);

  it('health is open, all else asks for the token; the admin token opens everything', async () => {
    const options = { token: 'user', adminToken: 'admin', modelControl: 'explicit' } as const;
    const { client, log } = await startGrpc(undefined, options);
    const load = ['RepositoryModelLoad', { model_name: 'echo' }] as const;
    for (const [method, request] of OPEN) assert.equal((await client.call(method, request)).code, 0, method);
    for (const [method, request] of [...GUARDED, load]) {
      const bare = await client.call(method, request);
      assert.equal(bare.code, status.UNAUTHENTICATED, method);
      assert.match(bare.details, /^sought the header Authorization: Bearer/);
      assert.match(String(bare.trailers.get('x-request-id')[0]), /^[\da-f-]{36}$/);
      const wrong = await client.call(method, request, bearer('users'));
      assert.deepEqual([wrong.code, /not the one/.test(wrong.details)], [status.UNAUTHENTICATED, true]);
    }
    const refused = await client.call(...load, bearer('user'));
    assert.deepEqual(
      [refused.code, refused.details],
      [status.PERMISSION_DENIED, 'this needs the admin token'],
    );
    assert.equal((await client.call(...load, bearer('admin'))).code, 0);
    for (const [method, request] of GUARDED)
      assert.equal((await client.call(method, request, bearer('user'))).code, 0, method);
    const { ended } = client.stream();
    assert.equal((await ended).code, status.UNAUTHENTICATED);
    assert.doesNotMatch(JSON.stringify(log), /users|Bearer /);
  });

  it('without --model-control explicit nothing is loaded, whoever asks', async () => {
    const { client } = await startGrpc(undefined, { adminToken: 'admin' });
    for (const method of ['RepositoryModelLoad', 'RepositoryModelUnload'] as const) {
      const { code, details } = await client.call(method, { model_name: 'echo' }, bearer('admin'));
      assert.equal(code, status.PERMISSION_DENIED);
      assert.match(details, /--model-control explicit/);
    }
  });

  it('one limit for both protocols, of each request of a stream too; probes are not counted', async () => {
    const { client, url } = await startGrpc(undefined, {
      rateLimit: new RateLimit({ count: 3, ms: 3_600_000 }),
    });
    for (const [method, request] of OPEN) assert.equal((await client.call(method, request)).code, 0);
    assert.equal((await ask(`${url}/v2`)).status, 200);
    assert.equal((await client.call('ModelInfer', fp32(1))).code, 0);
    const { call, answers, ended } = client.stream();
    for (const value of [1, 2]) call.write(fp32(value));
    call.end();
    assert.equal((await ended).code, 0);
    assert.equal(answers[0].error_message, '');
    assert.match(answers[1].error_message, /^too many requests: 3 in 3600 s/);
    const { code, trailers } = await client.call('ModelInfer', fp32(1));
    assert.equal(code, status.RESOURCE_EXHAUSTED);
    assert.deepEqual(trailers.get('retry-after'), ['1200']);
    assert.equal((await ask(`${url}/v2`)).status, 429);
  });

  it('whoever guesses tokens is counted', async () => {
    const rateLimit = new RateLimit({ count: 2, ms: 3_600_000 });
    const { client } = await startGrpc(undefined, { token: 't', rateLimit });
    const codes: number[] = [];
    for (let i = 0; i < 3; i++) codes.push((await client.call('ServerMetadata', {}, bearer('x'))).code);
    assert.deepEqual(codes, [status.UNAUTHENTICATED, status.UNAUTHENTICATED, status.RESOURCE_EXHAUSTED]);
    assert.equal((await client.call('ServerMetadata', {}, bearer('t'))).code, 0);
  });
});

describe('calls that end early', () => {
  afterEach(stopGrpc);

  it('a call that is cancelled, or whose deadline has passed, frees its model', async () => {
    const model = echoModel();
    const { client } = await startGrpc({ echo: model });
    let running = false;
    const start = () => {
      running = true;
    };
    model.next.push(untilCancelled(start), untilCancelled(start));
    const { ended, cancel } = client.begin('ModelInfer', fp32(1));
    await until(() => running);
    cancel();
    assert.equal((await ended).code, status.CANCELLED);
    await until(() => model.load.running === 0);
    const late = await client.call('ModelInfer', fp32(1), { deadline: 300 });
    assert.equal(late.code, status.DEADLINE_EXCEEDED);
    await until(() => model.load.running === 0);
    const { answer } = await client.call('ModelStatistics', { name: 'echo' });
    assert.equal(answer.model_stats[0].inference_stats.fail.count, 2);
  });

  it('what is larger than it may be is refused, as it comes and decompressed', async () => {
    const { client, grpcUrl } = await startGrpc(undefined, { maxBody: 100_000 });
    const large = fp32(...new Array(30_000).fill(0));
    const { code, details } = await client.call('ModelInfer', large);
    assert.equal(code, status.RESOURCE_EXHAUSTED);
    assert.match(details, /larger than max/);
    for (const algorithm of [1, 2]) {
      const packing = grpcClient(grpcUrl, { 'grpc.default_compression_algorithm': algorithm });
      assert.equal((await packing.call('ModelInfer', fp32(1, 2, 3))).code, 0);
      const bomb = await packing.call('ModelInfer', large);
      assert.equal(bomb.code, status.RESOURCE_EXHAUSTED);
      assert.match(bomb.details, /decompresses to a size larger than 100000/);
    }
    assert.equal((await client.call('ModelInfer', fp32(1))).code, 0);
  });

  it('a request that does not come in is ended', async () => {
    const { client, grpcUrl } = await startGrpc(undefined, { requestTimeout: 300 });
    const slow = client.client.makeClientStreamRequest(
      '/inference.GRPCInferenceService/ModelInfer',
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      () => {},
    );
    const [{ code, details }] = await new Promise<[{ code: number; details: string }]>((resolve) =>
      slow.once('status', (...args) => resolve(args as never)),
    );
    assert.equal(code, status.DEADLINE_EXCEEDED);
    assert.equal(details, 'the request did not come in whole within 0.3 s');
    assert.equal((await grpcClient(grpcUrl).call('ModelInfer', fp32(1))).code, 0);
  });

  it('an answer that is not taken is ended, of a stream too, and of that no more is read than may wait', async () => {
    const model = echoModel();
    let asked = 0;
    for (let i = 0; i < 40; i++)
      model.next.push(async () => {
        asked++;
      });
    const { client, grpcUrl, log } = await startGrpc({ echo: model }, { answerTimeout: 500 });
    const session = connect(grpcUrl.replace('grpc:', 'http:'), { maxSessionMemory: 1000 });
    const message = encode('InferRequest', fp32(...new Array(100_000).fill(1)));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    const frame = Buffer.concat([prefix, message]);
    // Nothing reads what comes: the window of each stream is full after 64 KiB.
    const begin = (method: string) =>
      session
        .request({
          ':method': 'POST',
          ':path': `/inference.GRPCInferenceService/${method}`,
          'content-type': 'application/grpc',
          te: 'trailers',
        })
        .on('error', () => {});
    try {
      const single = begin('ModelInfer').end(frame);
      await once(single, 'close');
      assert.equal(single.rstCode, constants.NGHTTP2_CANCEL);
      const stream = begin('ModelStreamInfer');
      for (let i = 0; i < 30; i++) stream.write(frame);
      await once(stream, 'close');
      assert.equal(stream.rstCode, constants.NGHTTP2_CANCEL);
    } finally {
      session.destroy();
    }
    assert.ok(asked > 2 && asked <= 1 + 8, `${asked}`);
    assert.equal(log.filter(({ msg }) => msg === 'the client does not take its answer').length, 2);
    assert.equal((await client.call('ModelInfer', fp32(1))).code, 0);
  });

  it('methods that are not there are told so', async () => {
    const { client } = await startGrpc();
    const code = await new Promise((resolve) =>
      client.client
        .makeUnaryRequest(
          '/inference.GRPCInferenceService/SystemSharedMemoryStatus',
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => bytes,
          Buffer.alloc(0),
          () => {},
        )
        .once('status', (ended) => resolve(ended.code)),
    );
    assert.equal(code, status.UNIMPLEMENTED);
  });
});
