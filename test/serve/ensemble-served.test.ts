import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IpgraftError } from '../../compiler/errors.js';
import type { ServedModel } from '../../runtime/serve/backend.js';
import { type EchoModel, echoModel, failing, untilCancelled } from './echo-model.js';
import { ask, emptyRepository, startServer, stopServers } from './http-server.js';
import { input, repositoryOf, serveFolder } from './image-models.js';
import { until, workersOf } from './processes.js';
import { castingModel, identityModel } from './small-models.js';

const explicit = { modelControl: 'explicit' } as const;

/** `IN` → a → b → `OUT`, and `MID` between them. */
const CHAIN = `
  platform: "ensemble"
  input { name: "IN" data_type: TYPE_FP32 dims: [-1] }
  output [ { name: "OUT" data_type: TYPE_FP32 dims: [-1] }, { name: "MID" data_type: TYPE_FP32 dims: [-1] } ]
  ensemble_scheduling { step [
    { model_name: "b" model_version: -1 input_map { key: "x" value: "MID" } output_map { key: "x_out" value: "OUT" } },
    { model_name: "a" model_version: 1 input_map { key: "x" value: "IN" } output_map { key: "x_out" value: "MID" } }
  ] }`;

const X = { name: 'x', datatype: 'FP32', shape: [-1], optional: false } as const;
const REQUEST = { inputs: [input('IN', [3])] };

/** Echoes `a` and `b`, and their chain `e`. */
async function chain(options: Parameters<typeof startServer>[1] = {}) {
  const models: Record<string, EchoModel> = { a: echoModel([X]), b: echoModel([X]) };
  const folder = emptyRepository('a/1', 'b/1', 'e/1');
  writeFileSync(join(folder, 'e', 'config.pbtxt'), CHAIN);
  const server = await startServer(models, { folder, ...options });
  const post = (path: string, body: unknown = {}) => ask(`${server.url}/v2/${path}`, { body });
  return {
    ...server,
    ...models,
    folder,
    post,
    a: models.a!,
    b: models.b!,
    infer: (body: object = REQUEST) => post('models/e/infer', body),
  };
}

async function statsOf(url: string, model: string) {
  return (await ask(`${url}/v2/models/${model}/stats`)).json.model_stats[0];
}

describe('an ensemble', () => {
  afterEach(stopServers);

  it('is one model: metadata, configuration, and its steps’ answers', async () => {
    const { url, infer, models } = await chain();
    assert.deepEqual(models.map(({ name }) => name).sort(), ['a', 'b', 'e']);
    const { json: metadata } = await ask(`${url}/v2/models/e`);
    assert.deepEqual(metadata, {
      name: 'e',
      versions: ['1'],
      platform: 'ensemble',
      inputs: [{ name: 'IN', datatype: 'FP32', shape: [-1] }],
      outputs: [
        { name: 'OUT', datatype: 'FP32', shape: [-1] },
        { name: 'MID', datatype: 'FP32', shape: [-1] },
      ],
    });
    const { json: config } = await ask(`${url}/v2/models/e/config`);
    assert.deepEqual([config.platform, config.instance_group], ['ensemble', undefined]);
    assert.deepEqual(config.ensemble_scheduling.step[1], {
      model_name: 'a',
      model_version: 1,
      input_map: { x: 'IN' },
      output_map: { x_out: 'MID' },
    });
    const { status, json } = await infer();
    assert.equal(status, 200);
    assert.deepEqual(
      json.outputs.map(({ name, shape, data }: { name: string; shape: number[]; data: number[] }) => [
        name,
        shape,
        data,
      ]),
      ['OUT', 'MID'].map((name) => [name, [3], REQUEST.inputs[0]!.data]),
    );
  });

  it('statistics are its own and its models’; only the steps that are asked for run', async () => {
    const { url, infer, b, a } = await chain();
    await infer();
    await infer({ ...REQUEST, outputs: [{ name: 'MID' }] });
    const counts = async (model: string) => {
      const { inference_stats: stats } = await statsOf(url, model);
      return [stats.success.count, stats.fail.count, stats.compute_infer.count, stats.compute_infer.ns];
    };
    assert.deepEqual(await counts('a'), [2, 0, 2, 6_000_000]);
    assert.deepEqual(await counts('b'), [1, 0, 1, 3_000_000]);
    assert.deepEqual(await counts('e'), [2, 0, 2, 9_000_000]);
    b.next.push(failing('RUNTIME_RUN', 'secret'));
    const failed = await infer();
    assert.equal(failed.status, 500);
    assert.doesNotMatch(failed.json.error, /secret/);
    assert.deepEqual((await counts('b')).slice(0, 2), [1, 1]);
    assert.deepEqual((await counts('e')).slice(0, 2), [2, 1]);
    assert.deepEqual((await counts('a')).slice(0, 2), [3, 0]);
    assert.deepEqual(a.asked.outputs, ['x_out']);
  });

  it('tensors go from step to step without a copy', async () => {
    const { a, b, infer } = await chain();
    const buffers: ArrayBufferLike[] = [];
    for (const model of [a, b]) {
      const { infer: echo } = model;
      (model as { infer: ServedModel['infer'] }).infer = (inputs, options) => {
        buffers.push(inputs[0]!.data.buffer);
        return echo(inputs, options);
      };
    }
    await infer();
    assert.equal(buffers.length, 2);
    assert.equal(buffers[0], buffers[1]);
  });

  it('requests that do not fit are told in its own names, those that do not fit a model in that model’s', async () => {
    const { infer } = await chain();
    for (const [body, error] of [
      [{ inputs: [input('x', [3])] }, 'input “x”: sought one of IN, found another name'],
      [{ inputs: [input('IN', [3, 1])] }, 'input “IN”: sought FP32 [-1], found FP32 [3, 1]'],
      [{ inputs: [] }, 'input “IN”: sought FP32 [-1], found nothing'],
    ] as const) {
      const { status, json } = await infer(body);
      assert.deepEqual([status, json.error], [400, error]);
    }
    const folder = repositoryOf({
      a: castingModel('float'),
      b: identityModel(['x', 'float', [2]]),
      e: { config: CHAIN.replace('key: "x_out" value: "MID"', 'key: "y" value: "MID"') },
    });
    const { url } = await serveFolder(folder);
    const { status, json } = await ask(`${url}/v2/models/e/infer`, { body: REQUEST });
    assert.deepEqual([status, json.error], [400, 'model “b”: input “x”: sought FP32 [2], found FP32 [3]']);
  });

  it('time and cancellation reach the step that runs, and nothing runs after it', async () => {
    const { infer, a, b, url } = await chain({ timeout: 10_000 });
    a.next.push(() => new Promise((resolve) => setTimeout(resolve, 60)));
    b.next.push(untilCancelled());
    const gone = new AbortController();
    const running = ask(`${url}/v2/models/e/infer`, { body: REQUEST, signal: gone.signal });
    await until(() => b.load.running === 1);
    assert.ok(b.asked.timeout! < 10_000 - 50 && b.asked.timeout! > 5000, `${b.asked.timeout}`);
    gone.abort();
    await assert.rejects(running);
    await until(() => b.load.running === 0);
    a.next.push(() => new Promise((resolve) => setTimeout(resolve, 60)));
    const late = await infer({ ...REQUEST, parameters: { timeout: 20_000 } });
    assert.deepEqual([late.status, late.json.error], [504, 'not answered within 20 ms']);
    const { fail } = (await statsOf(url, 'b')).inference_stats;
    assert.equal(fail.count, 1);
  });

  it('steps that do not wait for each other run side by side, and one that fails ends the others', async () => {
    const models: Record<string, EchoModel> = { a: echoModel([X]), b: echoModel([X]) };
    const folder = emptyRepository('a/1', 'b/1', 'e/1');
    writeFileSync(
      join(folder, 'e', 'config.pbtxt'),
      CHAIN.replace('key: "x" value: "MID"', 'key: "x" value: "IN"'),
    );
    const { url } = await startServer(models, { folder });
    const { a, b } = models;
    let here = 0;
    for (const model of [a!, b!])
      model.next.push(() => {
        here++;
        return until(() => here === 2);
      });
    assert.equal((await ask(`${url}/v2/models/e/infer`, { body: REQUEST })).status, 200);
    a!.next.push(untilCancelled());
    b!.next.push(failing('SERVER_BUSY', 'full'));
    const failed = await ask(`${url}/v2/models/e/infer`, { body: REQUEST });
    assert.deepEqual([failed.status, failed.json.error], [503, 'model “b”: full']);
    assert.equal(a!.load.running, 0);
  });

  it('an ensemble without its models does not keep the server from starting: it is not ready, and says why', async () => {
    const folder = emptyRepository('a/1', 'e/1');
    writeFileSync(join(folder, 'e', 'config.pbtxt'), CHAIN);
    const { url, models, log } = await startServer({ a: echoModel([X]) }, { folder });
    assert.deepEqual(models, [{ name: 'a', version: '1' }]);
    const why = 'ensemble “e” contains models that are not available: b';
    const { status, json } = await ask(`${url}/v2/models/e/ready`);
    assert.deepEqual([status, json.error], [503, `model “e” is not ready: ${why}`]);
    assert.equal((await ask(`${url}/v2/models/e/infer`, { body: REQUEST })).status, 503);
    const { json: index } = await ask(`${url}/v2/repository/index`, { body: {} });
    assert.deepEqual(index[1], { name: 'e', version: '1', state: 'UNAVAILABLE', reason: why });
    assert.ok(log.some(({ msg }) => msg === why));
  });

  it('an ensemble is not ready while one of its models has lost its workers, and says which', async () => {
    const { url, b, infer, post } = await chain();
    const why = 'the model is not ready: no worker is left, and none starts';
    Object.assign(b, { fault: new IpgraftError('SERVER_MODEL_NOT_READY', why) });
    const { status, json } = await ask(`${url}/v2/models/e/ready`);
    assert.deepEqual([status, json.error], [503, `model “b”: ${why}`]);
    assert.equal((await infer()).status, 503);
    const { json: index } = await post('repository/index');
    assert.deepEqual(index[2], {
      name: 'e',
      version: '1',
      state: 'UNAVAILABLE',
      reason: `model “b”: ${why}`,
    });
    Object.assign(b, { fault: null });
    assert.equal((await ask(`${url}/v2/models/e/ready`)).status, 200);
    assert.equal((await infer()).status, 200);
  });

  it('an ensemble that does not fit its models is refused', async () => {
    const folder = repositoryOf({
      a: identityModel(['x', 'float', ['n']]),
      b: identityModel(['x', 'int32', ['n']]),
      e: { config: CHAIN },
    });
    await assert.rejects(serveFolder(folder), {
      code: 'SERVER_CONFIG',
      message:
        'config.pbtxt of model “e”: tensor “MID” for input “x” of “b”: sought INT32 [-1], found FP32 [-1]',
    });
    assert.deepEqual(workersOf(), []);
  });

  it('loading it loads its models; it goes and comes with them', async () => {
    const { post, infer, url } = await chain(explicit);
    const states = async () =>
      Object.fromEntries(
        (await post('repository/index')).json.map(({ name, state }: { name: string; state: string }) => [
          name,
          state,
        ]),
      );
    assert.equal((await infer()).status, 404);
    assert.equal((await post('repository/models/e/load')).status, 200);
    assert.deepEqual(await states(), { a: 'READY', b: 'READY', e: 'READY' });
    assert.equal((await infer()).status, 200);
    // A part that is loaded again takes the place of the old one.
    assert.equal((await post('repository/models/b/load')).status, 200);
    assert.equal((await infer()).status, 200);
    assert.equal((await post('repository/models/b/unload')).status, 200);
    assert.deepEqual(await states(), { a: 'READY', b: 'UNAVAILABLE', e: 'UNAVAILABLE' });
    assert.match((await infer()).json.error, /contains models that are not available: b$/);
    assert.equal((await post('repository/models/b/load')).status, 200);
    assert.deepEqual(await states(), { a: 'READY', b: 'READY', e: 'READY' });
    // Without a word its models stay.
    assert.equal(
      (await post('repository/models/e/unload', { parameters: { unload_dependents: false } })).status,
      200,
    );
    assert.deepEqual(await states(), { a: 'READY', b: 'READY', e: 'UNAVAILABLE' });
    await post('repository/models/e/load');
    assert.equal(
      (await post('repository/models/e/unload', { parameters: { unload_dependents: true } })).status,
      200,
    );
    assert.deepEqual(await states(), { a: 'UNAVAILABLE', b: 'UNAVAILABLE', e: 'UNAVAILABLE' });
    assert.equal(
      (await ask(`${url}/v2`)).json.extensions.includes('model_repository(unload_dependents)'),
      true,
    );
  });

  it('a part that is loaded again and fits no more takes it out of service, until one fits', async () => {
    const shapes = [[-1], [-1, 2], [-1]];
    const { post, infer } = await chain({
      ...explicit,
      loadModel: async (path) => echoModel([{ ...X, shape: path.includes('/b/') ? shapes.shift()! : [-1] }]),
    });
    await post('repository/models/e/load');
    assert.equal((await infer()).status, 200);
    assert.equal((await post('repository/models/b/load')).status, 200);
    const { status, json } = await infer();
    assert.equal(status, 503);
    assert.match(json.error, /tensor “MID” for input “x” of “b”: sought FP32 \[-1, 2\], found FP32 \[-1\]$/);
    await post('repository/models/b/load');
    assert.equal((await infer()).status, 200);
  });

  it('unloading it with its models leaves those that another ensemble has', async () => {
    const { post, folder } = await chain(explicit);
    mkdirSync(join(folder, 'f'));
    writeFileSync(join(folder, 'f', 'config.pbtxt'), CHAIN.replace('model_name: "b"', 'model_name: "a"'));
    assert.equal((await post('repository/models/e/load')).status, 200);
    assert.equal((await post('repository/models/f/load')).status, 200);
    await post('repository/models/e/unload', { parameters: { unload_dependents: true } });
    const { json } = await post('repository/index', { ready: true });
    assert.deepEqual(
      json.map(({ name }: { name: string }) => name),
      ['a', 'f'],
    );
  });

  it('a load that fails says why: models that are missing, broken or do not fit, circles; names lead nowhere', async () => {
    const { post, folder } = await chain(explicit);
    const write = (config: string) => writeFileSync(join(folder, 'e', 'config.pbtxt'), config);
    for (const [config, status, error] of [
      [CHAIN.replace('model_name: "b"', 'model_name: "nothing"'), 503, /not available: nothing$/],
      [CHAIN.replace('model_name: "b"', 'model_name: "../a"'), 503, /not available: \.\.\/a$/],
      [CHAIN.replace('model_name: "b"', 'model_name: "e"'), 503, /not available: e$/],
      [CHAIN.replace('model_version: 1', 'model_version: 2'), 503, /not available: a$/],
      [CHAIN.replace('dims: [-1]', 'dims: [-1, 2]'), 400, /tensor “IN” for input “x” of “a”/],
    ] as const) {
      write(config);
      const answer = await post('repository/models/e/load');
      assert.equal(answer.status, status, JSON.stringify(answer.json));
      assert.match(answer.json.error, error);
    }
    write(CHAIN);
    assert.equal((await post('repository/models/e/load')).status, 200);
    // What is loaded stays when what would take its place does not fit.
    write(CHAIN.replace('model_version: 1', 'model_version: 2'));
    assert.equal((await post('repository/models/e/load')).status, 503);
    assert.equal((await post('models/e/infer', REQUEST)).status, 200);
  });

  it('an ensemble may be part of another', async () => {
    const { post, folder } = await chain(explicit);
    mkdirSync(join(folder, 'outer'));
    writeFileSync(
      join(folder, 'outer', 'config.pbtxt'),
      `input { name: "I" data_type: TYPE_FP32 dims: [-1] } output { name: "O" data_type: TYPE_FP32 dims: [-1] }
       ensemble_scheduling { step { model_name: "e" input_map { key: "IN" value: "I" } output_map { key: "OUT" value: "O" } } }`,
    );
    assert.equal((await post('repository/models/outer/load')).status, 200);
    const { json } = await post('models/outer/infer', { inputs: [input('I', [2])] });
    assert.deepEqual(json.outputs, [{ ...input('I', [2]), name: 'O' }]);
    await post('repository/models/a/unload');
    assert.equal((await post('models/outer/infer', { inputs: [input('I', [2])] })).status, 503);
    await post('repository/models/a/load');
    assert.equal((await post('models/outer/infer', { inputs: [input('I', [2])] })).status, 200);
  });

  it('loads, unloads and requests at once end in answers', async () => {
    const { post, infer } = await chain(explicit);
    const statuses = await Promise.all(
      Array.from({ length: 80 }, async (_, i) => {
        if (i % 4 === 3) return (await infer()).status;
        const model = ['a', 'b', 'e'][i % 3]!;
        return (await post(`repository/models/${model}/${i % 2 === 0 ? 'load' : 'unload'}`)).status;
      }),
    );
    assert.deepEqual(
      statuses.filter((status) => ![200, 404, 503].includes(status)),
      [],
    );
    assert.equal((await post('repository/models/e/load')).status, 200);
    assert.equal((await infer()).status, 200);
  });
});
