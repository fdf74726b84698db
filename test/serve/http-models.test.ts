import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { IpgraftError } from '../../compiler/errors.js';
import { echoModel, failing, untilCancelled } from './echo-model.js';
import { ask, emptyRepository, startServer, stopServers } from './http-server.js';
import { until } from './processes.js';

const FP32 = { name: 'x', datatype: 'FP32', shape: [-1, 3], optional: false } as const;
const STRING = { name: 's', datatype: 'BYTES', shape: [], optional: true } as const;
const REQUEST = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }],
  outputs: [{ name: 'x_out' }],
};

describe('what the server says of itself and its models', () => {
  afterEach(stopServers);

  it('health in the words that KServe’s client looks for', async () => {
    const { url } = await startServer();
    assert.deepEqual((await ask(`${url}/v2/health/live`)).json, { live: true });
    assert.deepEqual((await ask(`${url}/v2/health/ready`)).json, { ready: true });
    assert.deepEqual((await ask(`${url}/v2/models/echo/ready`)).json, { name: 'echo', ready: true });
    assert.equal((await ask(`${url}/v2/models/nothing/ready`)).status, 404);
  });

  it('metadata and configuration, of a model and of its version', async () => {
    const { url } = await startServer({ m: echoModel([FP32, STRING]) });
    const metadata = {
      name: 'm',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [-1, 3] },
        { name: 's', datatype: 'BYTES', shape: [] },
      ],
      outputs: [
        { name: 'x_out', datatype: 'FP32', shape: [-1, 3] },
        { name: 's_out', datatype: 'BYTES', shape: [] },
      ],
    };
    for (const path of ['/v2/models/m', '/v2/models/m/versions/1', '/v2/models/m/'])
      assert.deepEqual((await ask(url + path)).json, metadata);
    const { json } = await ask(`${url}/v2/models/m/config`);
    assert.equal(json.max_batch_size, 0);
    assert.deepEqual(json.input, [
      { name: 'x', data_type: 'TYPE_FP32', dims: [-1, 3], format: 'FORMAT_NONE', optional: false },
      { name: 's', data_type: 'TYPE_STRING', dims: [1], format: 'FORMAT_NONE', optional: true },
    ]);
    assert.deepEqual(json.output[0], { name: 'x_out', data_type: 'TYPE_FP32', dims: [-1, 3] });
  });

  it('other verbs are answered with the one there is, other paths with 404, both in the protocol’s form', async () => {
    const { url } = await startServer();
    const verb = await ask(`${url}/v2/models/echo/infer`);
    assert.deepEqual([verb.status, verb.headers.get('allow')], [405, 'POST']);
    assert.deepEqual(verb.json, { error: 'GET is not for this path: sought POST' });
    for (const path of ['/index.html', '/v2/models', '/v2/models/echo/nothing', '/v3']) {
      const { status, json, headers } = await ask(url + path);
      assert.deepEqual(
        [status, Object.keys(json), headers.get('content-type')],
        [404, ['error'], 'application/json'],
      );
    }
    assert.equal(
      (await ask(`${url}/v2/models/nothing/infer`, { body: REQUEST })).json.error,
      "Request for unknown model: 'nothing' is not found",
    );
  });

  it('statistics and metrics count what was answered and what failed', async () => {
    const model = echoModel([FP32]);
    const { url } = await startServer({ m: model, other: echoModel([FP32]) });
    for (let i = 0; i < 3; i++)
      assert.equal((await ask(`${url}/v2/models/m/infer`, { body: REQUEST })).status, 200);
    model.next.push(
      failing('SERVER_BUSY', 'full'),
      failing('RUNTIME_RUN', 'no'),
      failing('SERVER_INPUT', 'no'),
    );
    for (let i = 0; i < 3; i++)
      assert.notEqual((await ask(`${url}/v2/models/m/infer`, { body: REQUEST })).status, 200);
    const { json } = await ask(`${url}/v2/models/m/versions/1/stats`);
    const [stats] = json.model_stats;
    assert.deepEqual(
      [stats.name, stats.version, stats.inference_count, stats.execution_count],
      ['m', '1', 3, 3],
    );
    assert.ok(Math.abs(stats.last_inference - Date.now()) < 10_000);
    const { success, fail, ...rest } = stats.inference_stats;
    assert.deepEqual([success.count, fail.count], [3, 3]);
    assert.ok(success.ns > 0);
    const none = { count: 0, ns: 0 };
    const compute = {
      compute_input: { count: 3, ns: 6000 },
      compute_infer: { count: 3, ns: 9_000_000 },
      compute_output: { count: 3, ns: 12_000 },
    };
    assert.deepEqual(rest, { queue: { count: 3, ns: 3000 }, ...compute, cache_hit: none, cache_miss: none });
    assert.deepEqual(stats.batch_stats, [{ batch_size: 1, ...compute }]);
    const all = await ask(`${url}/v2/models/stats`);
    assert.deepEqual(
      all.json.model_stats.map((each: { name: string }) => each.name),
      ['m', 'other'],
    );
    const { bytes, headers } = await ask(`${url}/metrics`);
    assert.match(headers.get('content-type')!, /^text\/plain; version=0\.0\.4/);
    const text = String(bytes);
    const labels = 'model="m",version="1"';
    for (const line of [
      `nv_inference_request_success{${labels}} 3`,
      `nv_inference_request_failure{${labels},reason="REJECTED"} 1`,
      `nv_inference_request_failure{${labels},reason="BACKEND"} 1`,
      `nv_inference_request_failure{${labels},reason="OTHER"} 1`,
      `nv_inference_request_failure{${labels},reason="CANCELED"} 0`,
      `nv_inference_count{${labels}} 3`,
      `nv_inference_exec_count{${labels}} 3`,
      `nv_inference_queue_duration_us{${labels}} 3`,
      `nv_inference_compute_input_duration_us{${labels}} 6`,
      `nv_inference_compute_infer_duration_us{${labels}} 9000`,
      `nv_inference_compute_output_duration_us{${labels}} 12`,
      `nv_inference_pending_request_count{${labels}} 0`,
    ])
      assert.ok(text.includes(`${line}\n`), line);
    assert.match(text, /^(# (HELP|TYPE) nv_\w+ .+\n|nv_\w+\{\w+="[^"]*"(,\w+="[^"]*")*\} [\d.e-]+\n)+$/);
  });

  it('each request is a line of the log, with its id; probes are none', async () => {
    const { url, log } = await startServer();
    await ask(`${url}/v2`, { headers: { 'x-request-id': 'r-1' } });
    await ask(`${url}/v2/health/ready`);
    await until(() => log.some(({ reqId }) => reqId === 'r-1'));
    const { method, url: path, status, ms } = log.find(({ reqId }) => reqId === 'r-1')!;
    assert.deepEqual([method, path, status, typeof ms], ['GET', '/v2', 200, 'number']);
    assert.ok(!log.some(({ url: each }) => each === '/v2/health/ready'));
  });
});

describe('the model repository', () => {
  afterEach(stopServers);
  const explicit = { modelControl: 'explicit' } as const;
  const post = (url: string, path: string, body: unknown = {}) =>
    ask(`${url}/v2/repository/${path}`, { body });

  it('serves the highest version, as a number', async () => {
    const folder = emptyRepository(
      'm/9',
      'm/10',
      'm/010',
      'm/x',
      'm/99999999999999999999',
      '.git/1',
      'b c/1',
    );
    const paths: string[] = [];
    const { url, models } = await startServer(
      {},
      {
        folder,
        loadModel: async (path) => {
          paths.push(path);
          return echoModel();
        },
      },
    );
    assert.deepEqual(models, [{ name: 'm', version: '10' }]);
    assert.deepEqual(paths, [join(folder, 'm', '10', 'model.onnx')]);
    assert.equal((await ask(`${url}/v2/models/m/versions/9`)).status, 404);
    assert.equal((await ask(`${url}/v2/models/m/versions/10`)).status, 200);
  });

  it('loads nothing at first where requests load; says what there is and how it stands', async () => {
    const { url, models } = await startServer({ a: echoModel(), b: echoModel() }, explicit);
    assert.deepEqual(models, []);
    const entry = (name: string, state: string, reason = '') => ({ name, version: '1', state, reason });
    assert.deepEqual((await post(url, 'index')).json, [entry('a', 'UNAVAILABLE'), entry('b', 'UNAVAILABLE')]);
    assert.deepEqual((await ask(`${url}/v2/repository/index`, { method: 'POST' })).json.length, 2);
    assert.equal((await post(url, 'models/a/load')).status, 200);
    assert.deepEqual((await post(url, 'index', { ready: true })).json, [entry('a', 'READY')]);
    const unload = { parameters: { unload_dependents: false } };
    assert.equal((await post(url, 'models/a/unload', unload)).status, 200);
    assert.deepEqual((await post(url, 'index')).json[0], entry('a', 'UNAVAILABLE', 'unloaded'));
    const gone = await ask(`${url}/v2/models/a/ready`);
    assert.deepEqual([gone.status, gone.json], [503, { error: 'model “a” is not ready: it is not loaded' }]);
    for (const verb of ['load', 'unload'])
      assert.equal((await post(url, `models/nothing/${verb}`)).status, 404);
    assert.equal((await post(url, 'models/..%2fa/load')).status, 400);
    assert.equal((await post(url, 'index', [1])).status, 400);
  });

  it('a model that does not load is told so, the file’s path only to the log', async () => {
    const folder = emptyRepository('m/1');
    const loadModel = async () => {
      throw new IpgraftError('RUNTIME_LOAD', `${folder}/m/1/model.onnx is broken`);
    };
    const { url, log } = await startServer({}, { ...explicit, folder, loadModel });
    const { status, json } = await post(url, 'models/m/load');
    assert.equal(status, 400);
    assert.match(json.error, /^failed to load “m”; the server's log says why: request [\da-f-]+$/);
    assert.match(JSON.stringify(log), /is broken/);
    assert.equal((await post(url, 'index')).json[0].reason, 'failed to load');
    await assert.rejects(startServer({}, { folder, loadModel }), /is broken/);
  });

  it('a model that is loaded again answers throughout, and what ran on the old one ends there', async () => {
    const [old, fresh] = [echoModel([FP32]), echoModel([FP32])];
    const waiting = [old, fresh];
    const loadModel = async () => waiting.shift()!;
    const { url } = await startServer({}, { ...explicit, folder: emptyRepository('m/1'), loadModel });
    await post(url, 'models/m/load');
    let finish: () => void = () => {};
    old.next.push(() => new Promise((resolve) => (finish = resolve)));
    const running = ask(`${url}/v2/models/m/infer`, { body: REQUEST });
    await until(() => old.load.running === 1);
    assert.equal((await post(url, 'models/m/load')).status, 200);
    assert.equal((await ask(`${url}/v2/models/m/infer`, { body: REQUEST })).status, 200);
    assert.deepEqual([old.closed, fresh.closed], [1, 0]);
    finish();
    assert.equal((await running).status, 200);
  });

  it('loads and unloads of one model wait for each other, under requests', async () => {
    let open = 0;
    const loadModel = async () => {
      open++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      const model = echoModel([FP32]);
      return { ...model, close: async () => void open-- };
    };
    const { url } = await startServer({}, { ...explicit, folder: emptyRepository('m/1'), loadModel });
    const statuses = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        if (i % 3 === 2) return (await ask(`${url}/v2/models/m/infer`, { body: REQUEST })).status;
        return (await post(url, `models/m/${i % 2 === 0 ? 'load' : 'unload'}`)).status;
      }),
    );
    assert.ok(
      statuses.every((status) => [200, 404, 503].includes(status)),
      `${statuses}`,
    );
    await post(url, 'models/m/unload');
    assert.equal(open, 0);
  });

  it('a model whose files are gone answers until it is unloaded', async () => {
    const folder = emptyRepository('m/1');
    const { url } = await startServer({ m: echoModel([FP32]) }, { ...explicit, folder });
    await post(url, 'models/m/load');
    rmSync(join(folder, 'm'), { recursive: true });
    assert.equal((await ask(`${url}/v2/models/m/infer`, { body: REQUEST })).status, 200);
    assert.equal((await post(url, 'index')).json[0].state, 'READY');
    assert.equal((await post(url, 'models/m/load')).status, 404);
    assert.equal((await post(url, 'models/m/unload')).status, 200);
    assert.deepEqual((await post(url, 'index')).json, []);
  });

  it('when one model does not load at the start, those before it are closed', async () => {
    const first = echoModel();
    const loadModel = async (path: string) => {
      if (path.includes('/b/')) throw new IpgraftError('RUNTIME_LOAD', 'broken');
      return first;
    };
    const folder = emptyRepository('a/1', 'b/1');
    await assert.rejects(startServer({}, { folder, loadModel }), { code: 'RUNTIME_LOAD' });
    assert.equal(first.closed, 1);
  });

  it('a folder without models, or none at all, is refused', async () => {
    for (const folder of [emptyRepository(), 'no/such/folder', 'README.md'])
      await assert.rejects(startServer({}, { folder }), { code: 'SERVER_REPOSITORY' });
  });
});

describe('the end of the server', () => {
  afterEach(stopServers);

  it('readiness says no first; what runs ends, and then the model', async () => {
    const model = echoModel([FP32]);
    const { url, stop } = await startServer({ m: model });
    let finish: () => void = () => {};
    model.next.push(() => new Promise((resolve) => (finish = resolve)));
    const running = ask(`${url}/v2/models/m/infer`, { body: REQUEST });
    await until(() => model.load.running === 1);
    const stopped = stop(400, 5000);
    const ready = await ask(`${url}/v2/health/ready`);
    assert.deepEqual([ready.status, ready.json], [503, { error: 'the server is stopping' }]);
    assert.equal((await ask(`${url}/v2/health/live`)).status, 200);
    assert.equal((await ask(`${url}/v2/models/m/infer`, { body: REQUEST })).status, 200);
    await new Promise((resolve) => setTimeout(resolve, 600));
    await assert.rejects(ask(`${url}/v2/health/live`));
    assert.equal(model.closed, 0);
    finish();
    const finished = Date.now();
    assert.equal((await running).status, 200);
    await stopped;
    assert.ok(Date.now() - finished < 2000);
    assert.equal(model.closed, 1);
  });

  it('what runs longer than it may is let go', async () => {
    const model = echoModel([FP32]);
    const { url, stop } = await startServer({ m: model });
    model.next.push(untilCancelled());
    const running = ask(`${url}/v2/models/m/infer`, { body: REQUEST });
    await until(() => model.load.running === 1);
    const began = Date.now();
    await Promise.all([assert.rejects(running), stop(0, 200)]);
    assert.ok(Date.now() - began < 3000);
    await until(() => model.load.running === 0);
  });
});
