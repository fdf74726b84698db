import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { echoModel, failing } from './echo-model.js';
import { ask, emptyRepository, startServer, stopServers } from './http-server.js';
import { input, repositoryOf, serveFolder } from './image-models.js';
import { until, workersOf } from './processes.js';
import { countingModel, identityModel } from './small-models.js';
import { rounds } from './tensors.js';

const free = () => identityModel(['x', 'float', ['b', 'n']]);
const explicit = { modelControl: 'explicit' } as const;

/** Serves one model with a configuration; `models/m` of its paths. */
async function serveOne(config: string, file = free()) {
  const server = await serveFolder(repositoryOf({ m: { file, config } }));
  return { ...server, url: `${server.url}/v2/models/m` };
}

/** Refuses to start over a configuration that does not fit its model. */
async function refused(config: string, file: string, message: RegExp) {
  await assert.rejects(serveFolder(repositoryOf({ m: { file, config } })), {
    code: 'SERVER_CONFIG',
    message,
  });
}

describe('a configuration and its model', () => {
  afterEach(stopServers);

  it('narrower inputs are metadata and are held to; the answers are the model’s', async () => {
    const { url } = await serveOne(`
      platform: "onnxruntime_onnx" max_batch_size: 0
      input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
      output [ { name: "x_out" data_type: TYPE_FP32 dims: [ -1, -1 ] } ]
    `);
    const { json } = await ask(url);
    assert.deepEqual(json.inputs, [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }]);
    assert.deepEqual(json.outputs, [{ name: 'x_out', datatype: 'FP32', shape: [-1, -1] }]);
    const good = await ask(`${url}/infer`, { body: { inputs: [input('x', [2, 3])] } });
    assert.deepEqual(good.json.outputs[0].data, input('x', [2, 3]).data);
    const bad = await ask(`${url}/infer`, { body: { inputs: [input('x', [2, 4])] } });
    assert.deepEqual(
      [bad.status, bad.json.error],
      [400, 'input “x”: sought FP32 [-1, 3], found FP32 [2, 4]'],
    );
  });

  it('max_batch_size: the batch comes first in metadata and requests, is left out of the configuration, and has its limit', async () => {
    const { url } = await serveOne('max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }');
    assert.deepEqual((await ask(url)).json.inputs[0].shape, [-1, 3]);
    const { json: config } = await ask(`${url}/config`);
    assert.deepEqual([config.max_batch_size, config.input[0].dims, config.output[0].dims], [2, [3], [-1]]);
    for (const [rows, status] of [
      [1, 200],
      [2, 200],
      [3, 400],
      [0, 400],
    ] as const) {
      const { status: found, json } = await ask(`${url}/infer`, {
        body: { inputs: [input('x', [rows, 3])] },
      });
      assert.equal(found, status, `${rows}`);
      if (status === 400) assert.equal(json.error, `input “x”: sought a batch of 1 to 2, found ${rows}`);
    }
  });

  it('all inputs have one batch', async () => {
    const file = identityModel(['x', 'float', ['b', 2]], ['y', 'float', ['b', 2]]);
    const { url } = await serveOne('max_batch_size: 8', file);
    const { status, json } = await ask(`${url}/infer`, {
      body: { inputs: [input('x', [1, 2]), input('y', [2, 2])] },
    });
    assert.deepEqual([status, json.error], [400, 'input “y”: sought the batch of “x”, 1, found 2']);
  });

  it('a configuration that its model contradicts is refused by name', async () => {
    const file = identityModel(['x', 'float', ['b', 3]]);
    for (const [config, message] of [
      ['input { name: "y" data_type: TYPE_FP32 dims: [-1, 3] }', /every input of the model, “x” is missing/],
      [
        'input [{ name: "x" data_type: TYPE_FP32 dims: [-1, 3] }, { name: "y" data_type: TYPE_FP32 dims: 1 }]',
        /input “y”: sought one of x/,
      ],
      [
        'input { name: "x" data_type: TYPE_FP16 dims: [-1, 3] }',
        /input “x”: the model has FP32, it says FP16/,
      ],
      [
        'input { name: "x" data_type: TYPE_FP32 dims: [-1, 4] }',
        /input “x”: the model has \[-1, 3\], it says \[-1, 4\]/,
      ],
      ['input { name: "x" data_type: TYPE_FP32 dims: [-1, -1] }', /it says \[-1, -1\]/],
      ['input { name: "x" data_type: TYPE_FP32 dims: [3] }', /it says \[3\]/],
      [
        'input { name: "x" data_type: TYPE_FP32 dims: [-1, 3] optional: true }',
        /“x”: the model has no default of it/,
      ],
      ['output { name: "z" data_type: TYPE_FP32 dims: [-1, 3] }', /output “z”: sought one of x_out/],
      [
        'output { name: "x_out" data_type: TYPE_FP32 dims: [5, 3] }',
        /output “x_out”: the model has \[-1, 3\], it says \[5, 3\]/,
      ],
      ['version_policy { specific { versions: [7] } }', /sought 7\/model\.onnx, found no such file/],
      ['default_model_filename: "other.onnx"', /sought VERSION\/other\.onnx, found no such file/],
    ] as const)
      await refused(config, file, message);
    await refused(
      'max_batch_size: 4',
      identityModel(['x', 'float', [1, 3]]),
      /a free first dimension .*“x” is \[1, 3\]/,
    );
    await refused('max_batch_size: 4', identityModel(['x', 'float', []]), /“x” is \[\]/);
    assert.deepEqual(workersOf(), []);
  });

  it('a scalar is written as [1]', async () => {
    const file = identityModel(['x', 'float', []]);
    const { url } = await serveOne(
      'input { name: "x" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } }',
      file,
    );
    assert.deepEqual((await ask(url)).json.inputs[0].shape, []);
    assert.deepEqual((await ask(`${url}/config`)).json.input[0].dims, [1]);
    for (const shape of [[], [1]])
      assert.equal((await ask(`${url}/infer`, { body: { inputs: [input('x', shape)] } })).status, 200);
  });

  it('outputs that it leaves out are not offered', async () => {
    const file = identityModel(['x', 'float', [1]], ['y', 'float', [1]]);
    const { url } = await serveOne('output { name: "y_out" data_type: TYPE_FP32 dims: [1] }', file);
    const inputs = [input('x', [1]), input('y', [1], 1)];
    const { json } = await ask(`${url}/infer`, { body: { inputs } });
    assert.deepEqual(
      json.outputs.map(({ name }: { name: string }) => name),
      ['y_out'],
    );
    assert.equal((await ask(`${url}/infer`, { body: { inputs, outputs: [{ name: 'x_out' }] } })).status, 400);
  });

  it('instances, threads and the queue are its model’s, and its time limit', async () => {
    const asked: object[] = [];
    const model = echoModel([{ name: 'x', datatype: 'FP32', shape: [-1], optional: false }]);
    const folder = emptyRepository('m/1');
    writeFileSync(
      join(folder, 'm', 'config.pbtxt'),
      `instance_group [ { count: 3 } ]
       parameters { key: "intra_op_thread_count" value { string_value: "2" } }
       dynamic_batching { default_queue_policy { max_queue_size: 5 default_timeout_microseconds: 250000 } }`,
    );
    const { url, log } = await startServer(
      {},
      {
        folder,
        loadModel: async (_, settings) => {
          asked.push(settings);
          return model;
        },
      },
    );
    assert.deepEqual(asked, [{ workers: 3, threads: 2, queueSize: 5 }]);
    for (const [parameters, limit] of [
      [{}, 250],
      [{ timeout: 100_000 }, 100],
      [{ timeout: 900_000 }, 250],
    ] as const) {
      await ask(`${url}/v2/models/m/infer`, { body: { inputs: [input('x', [1])], parameters } });
      assert.equal(model.asked.timeout, limit);
    }
    const { json } = await ask(`${url}/v2/models/m/config`);
    assert.deepEqual(json.instance_group, [{ name: 'm', kind: 'KIND_AUTO', count: 3 }]);
    assert.deepEqual(json.parameters, { intra_op_thread_count: { string_value: '2' } });
    assert.deepEqual(json.dynamic_batching.default_queue_policy, {
      max_queue_size: 5,
      default_timeout_microseconds: 250_000,
    });
    assert.equal(
      log.find(({ level }) => level === 40)?.msg,
      'config.pbtxt of model “m”: without effect here: dynamic_batching (but its default_queue_policy)',
    );
  });

  it('instances are processes', async () => {
    await serveOne('instance_group [ { count: 2 kind: KIND_CPU } ]');
    assert.equal(workersOf().length, 2);
  });

  it('a full queue of its own length', async () => {
    const { url } = await serveOne(
      'dynamic_batching { default_queue_policy { max_queue_size: 1 default_timeout_microseconds: 1500000 } }',
      countingModel(),
    );
    const body = {
      inputs: [
        { name: 'n', datatype: 'INT64', shape: [], data: [1e12] },
        { name: 'x', datatype: 'FP32', shape: [1], data: [0] },
      ],
    };
    const running = [ask(`${url}/infer`, { body }), ask(`${url}/infer`, { body })];
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await ask(`${url}/infer`, { body })).status, 503);
    assert.deepEqual(
      (await Promise.all(running)).map(({ status }) => status),
      [504, 504],
    );
  });

  it('warm-up runs in every worker before the model is ready, and is in no statistics', async () => {
    const asked: string[][] = [];
    const model = echoModel([
      { name: 'x', datatype: 'FP32', shape: [-1, 2], optional: false },
      { name: 'b', datatype: 'BOOL', shape: [-1], optional: false },
    ]);
    const folder = emptyRepository('m/1');
    writeFileSync(
      join(folder, 'm', 'config.pbtxt'),
      `max_batch_size: 4 instance_group { count: 2 }
       model_warmup { name: "w" batch_size: 3 count: 2
         inputs { key: "x" value { data_type: TYPE_FP32 dims: 2 zero_data: true } }
         inputs { key: "b" value { data_type: TYPE_BOOL dims: [] random_data: true } } }`,
    );
    const loadModel = async () => ({
      ...model,
      infer: async (...[inputs]: Parameters<typeof model.infer>) => {
        asked.push(
          inputs.map(({ name, shape, data }) => `${name} [${shape}] ${data.every((byte) => byte <= 1)}`),
        );
        return model.infer(inputs);
      },
    });
    const { url } = await startServer({}, { folder, loadModel });
    assert.deepEqual(asked, new Array(4).fill(['x [3,2] true', 'b [3] true']));
    const { json } = await ask(`${url}/v2/models/m/stats`);
    assert.equal(json.model_stats[0].inference_stats.success.count, 0);
    const { json: config } = await ask(`${url}/v2/models/m/config`);
    assert.deepEqual(config.model_warmup[0].inputs.b, {
      data_type: 'TYPE_BOOL',
      dims: [],
      random_data: true,
    });
  });

  it('a model that fails to warm up, or is asked for too much, is not loaded and leaves nothing', async () => {
    for (const [dims, fails, code] of [
      [1, true, 'RUNTIME_RUN'],
      [10_000_000_000, false, 'SERVER_CONFIG'],
    ] as const) {
      const model = echoModel();
      if (fails) model.next.push(failing('RUNTIME_RUN', 'no'));
      const folder = emptyRepository('m/1');
      writeFileSync(
        join(folder, 'm', 'config.pbtxt'),
        `model_warmup { name: "w" inputs { key: "FP32" value { data_type: TYPE_FP32 dims: ${dims} zero_data: true } } }`,
      );
      await assert.rejects(startServer({}, { folder, loadModel: async () => model }), { code });
      assert.equal(model.closed, 1);
    }
  });

  it('a warm-up that does not fit the model is a fault of its configuration, named with the model', async () => {
    const config =
      'model_warmup { name: "w" inputs { key: "x" value { data_type: TYPE_FP32 dims: 1 zero_data: true } } }';
    await refused(
      config,
      countingModel(),
      /^config\.pbtxt of model “m”: model_warmup “w”: input “n”: sought INT64 \[\], found nothing$/,
    );
  });

  it('a real model warms up', async () => {
    const { url } = await serveOne(
      'model_warmup { name: "w" inputs { key: "n" value { data_type: TYPE_INT64 dims: 1 zero_data: true } } inputs { key: "x" value { data_type: TYPE_FP32 dims: 1 random_data: true } } }',
      countingModel(),
    );
    const inputs = rounds(2).map(({ name, datatype, shape }, i) => ({
      name,
      datatype,
      shape,
      data: [i === 0 ? 2 : 0],
    }));
    assert.deepEqual((await ask(`${url}/infer`, { body: { inputs } })).json.outputs[0].data, [2]);
  });

  it('the version that it names, the file that it names, and a model that is a folder', async () => {
    const folder = repositoryOf({
      m: { config: 'version_policy { specific { versions: [1, 2] } } default_model_filename: "unet.onnx"' },
    });
    for (const version of ['1', '2', '3']) mkdirSync(join(folder, 'm', version));
    copyFileSync(free(), join(folder, 'm', '1', 'unet.onnx'));
    mkdirSync(join(folder, 'm', '2', 'unet.onnx'));
    copyFileSync(free(), join(folder, 'm', '2', 'unet.onnx', 'model.onnx'));
    copyFileSync(free(), join(folder, 'm', '3', 'unet.onnx'));
    const { models, url } = await serveFolder(folder);
    assert.deepEqual(models, [{ name: 'm', version: '2' }]);
    const { json } = await ask(`${url}/v2/models/m/config`);
    assert.deepEqual(json.version_policy, { specific: { versions: [1, 2] } });
    assert.equal(json.default_model_filename, 'unet.onnx');
  });

  it('loading one model reads its own configuration, once, and no other', async () => {
    const folder = repositoryOf({
      m: { config: 'max_batch_size: 0', file: free() },
      other: { config: 'max_batch_size: 0', file: free() },
    });
    const { url } = await serveFolder(folder, explicit);
    const read: unknown[] = [];
    const { readFile } = promises;
    promises.readFile = ((...args: Parameters<typeof readFile>) => {
      if (String(args[0]).endsWith('config.pbtxt')) read.push(args[0]);
      return readFile(...args);
    }) as typeof readFile;
    syncBuiltinESMExports();
    try {
      assert.equal((await ask(`${url}/v2/repository/models/m/load`, { body: {} })).status, 200);
    } finally {
      promises.readFile = readFile;
      syncBuiltinESMExports();
    }
    assert.deepEqual(read, [join(folder, 'm', 'config.pbtxt')]);
  });

  it('is read again when the model is loaded again; a bad one leaves the model as it is, and says why to client and index', async () => {
    const folder = repositoryOf({ m: free() });
    const { url } = await serveFolder(folder, explicit);
    const load = () => ask(`${url}/v2/repository/models/m/load`, { body: {} });
    assert.equal((await load()).status, 200);
    const write = (text: string) => writeFileSync(join(folder, 'm', 'config.pbtxt'), text);
    write('max_batch_size: 3');
    assert.equal((await load()).status, 200);
    assert.equal((await ask(`${url}/v2/models/m/config`)).json.max_batch_size, 3);
    write('max_batch_size: ');
    const bad = await load();
    assert.equal(bad.status, 400);
    assert.match(bad.json.error, /^config\.pbtxt of model “m”: expected value/);
    assert.doesNotMatch(bad.json.error, /\//);
    assert.equal((await ask(`${url}/v2/models/m/config`)).json.max_batch_size, 3);
    assert.equal((await ask(`${url}/v2/repository/models/m/unload`, { body: {} })).status, 200);
    const index = (await ask(`${url}/v2/repository/index`, { body: {} })).json;
    assert.deepEqual([index[0].state, index[0].reason], ['UNAVAILABLE', bad.json.error]);
    await until(() => workersOf().length === 0);
  });
});
