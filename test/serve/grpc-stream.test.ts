import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import { echoModel, failing, untilCancelled } from './echo-model.js';
import { fp32, startGrpc, stopGrpc } from './grpc-server.js';
import { ask } from './http-server.js';
import { until } from './processes.js';

/** When `ms` have passed. */
const later = (ms: number) => () => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe('the stream of infer requests', () => {
  afterEach(stopGrpc);

  it('answers each request once, in their order, however long each takes', async () => {
    const model = echoModel();
    model.next.push(later(200), later(0), later(100));
    const { client } = await startGrpc({ echo: model });
    const { call, answers, ended } = client.stream();
    for (let i = 0; i < 40; i++) call.write({ ...fp32(i), id: `${i}` });
    call.end();
    assert.equal((await ended).code, 0);
    assert.deepEqual(
      answers.map(({ infer_response: { id, raw_output_contents } }) => [
        id,
        raw_output_contents[0].readFloatLE(),
      ]),
      Array.from({ length: 40 }, (_, i) => [`${i}`, i]),
    );
    assert.ok(answers.every(({ error_message }) => error_message === ''));
  });

  it('a request that fails is told so in its place, and the stream goes on', async () => {
    const model = echoModel();
    const { client, log } = await startGrpc({ echo: model });
    model.next.push(failing('RUNTIME_RUN', '/srv/model.onnx'));
    const { call, answers, ended } = client.stream({ metadata: { 'x-request-id': 'the-id' } });
    call.write({ ...fp32(1), id: 'a' });
    call.write({ ...fp32(2), id: 'b', model_name: 'nothing' });
    call.write(Buffer.from('nonsense'));
    call.write({ ...fp32(3), id: 'd' });
    call.end();
    assert.equal((await ended).code, 0);
    assert.deepEqual(
      answers.map(({ error_message, infer_response: { id } }) => [id, error_message]),
      [
        ['a', "the model does not run on these inputs; the server's log says why: request the-id"],
        ['b', "Request for unknown model: 'nothing' is not found"],
        ['the-id', 'the message is no ModelInferRequest'],
        ['d', ''],
      ],
    );
    assert.match(JSON.stringify(log), /\/srv\/model\.onnx/);
  });

  it('says of an answer that it is the last one where that is asked for', async () => {
    const { client } = await startGrpc();
    const { call, answers, ended } = client.stream();
    call.write({ ...fp32(1), parameters: { triton_enable_empty_final_response: { bool_param: true } } });
    call.write(fp32(2));
    call.end();
    await ended;
    const [first, second] = answers.map(({ infer_response }) => infer_response.parameters);
    assert.equal(first.triton_final_response.bool_param, true);
    assert.deepEqual(second, {});
  });

  it('when its client goes, or its deadline passes, what runs is given up', async () => {
    const model = echoModel();
    const { client } = await startGrpc({ echo: model });
    for (const options of [{}, { deadline: 500 }]) {
      model.next.push(untilCancelled(), untilCancelled());
      const { call, ended } = client.stream(options);
      call.write(fp32(1));
      call.write(fp32(2));
      await until(() => model.load.running === 2);
      if (options.deadline === undefined) call.cancel();
      const { code } = await ended;
      assert.equal(code, options.deadline === undefined ? status.CANCELLED : status.DEADLINE_EXCEEDED);
      await until(() => model.load.running === 0);
    }
  });
});

describe('health over gRPC, and the end of the server', () => {
  afterEach(stopGrpc);

  it('both services are known, others are not', async () => {
    const { client } = await startGrpc();
    for (const service of ['', 'inference.GRPCInferenceService'])
      assert.deepEqual((await client.call('Check', { service })).answer, { status: 1 });
    const other = await client.call('Check', { service: '__proto__' });
    assert.deepEqual([other.code, other.details], [status.NOT_FOUND, 'there is no service “__proto__”']);
    const { call, answers } = client.watch('other');
    await until(() => answers.length === 1);
    assert.deepEqual(answers, [{ status: 3 }]);
    call.cancel();
  });

  it('readiness says no first, what runs ends, and streams and watchers are let go', async () => {
    const model = echoModel();
    model.next.push(later(4000));
    const { client, url, stop } = await startGrpc({ echo: model });
    const watcher = client.watch('');
    const idle = client.stream();
    idle.call.write(fp32(1));
    await until(() => model.load.running === 1 && watcher.answers.length === 1);
    const stopped = stop(2000, 30_000);
    await until(() => watcher.answers.length === 2);
    assert.deepEqual(watcher.answers, [{ status: 1 }, { status: 2 }]);
    assert.deepEqual((await client.call('ServerReady')).answer, { ready: false });
    assert.deepEqual((await client.call('Check')).answer, { status: 2 });
    assert.equal((await ask(`${url}/v2/health/ready`)).status, 503);
    model.next.push(later(4000));
    const last = client.call('ModelInfer', fp32(5));
    await until(() => model.load.running === 2);
    const [streamed, watched, answered] = await Promise.all([idle.ended, watcher.ended, last, stopped]);
    assert.deepEqual([streamed.code, streamed.details], [status.UNAVAILABLE, 'the server is stopping']);
    assert.equal(idle.answers[0].infer_response.raw_output_contents[0].readFloatLE(), 1);
    assert.equal(watched.code, status.UNAVAILABLE);
    assert.equal(answered.code, 0);
    assert.equal(model.closed, 1);
    const refused = await client.call('ServerLive', {}, { deadline: 2000 });
    assert.notEqual(refused.code, 0);
  });

  it('what runs longer than it may is let go', async () => {
    const model = echoModel();
    model.next.push(untilCancelled());
    const { client, stop } = await startGrpc({ echo: model });
    const running = client.call('ModelInfer', fp32(1));
    await until(() => model.load.running === 1);
    await stop(0, 100);
    assert.notEqual((await running).code, 0);
    await until(() => model.load.running === 0);
  });
});
