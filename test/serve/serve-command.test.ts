import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { ipgraft, MAIN } from '../command.js';
import { modelPath } from '../fixtures.js';
import { ask } from './http-server.js';
import { isAlive, until, workersOf } from './processes.js';
import { counting, repositoryOf, type ServeProcess, serve } from './serve-process.js';
import { countingModel, identityModel } from './small-models.js';

describe('ipgraft serve', () => {
  const running: ServeProcess[] = [];
  const started = async (...args: Parameters<typeof serve>) => {
    const server = await serve(...args);
    running.push(server);
    return server;
  };
  afterEach(() => {
    for (const { child } of running.splice(0)) child.kill('SIGKILL');
  });

  it('ends at SIGTERM while it loads models too, by its own doing: a first process of a container ends no other way', async () => {
    const folder = repositoryOf({ unet: modelPath('sdxl-sdpa-ts17') });
    const child = spawn(process.execPath, [MAIN, 'serve', folder, '--port', '0'], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    await until(() => workersOf(child.pid).length > 0);
    const workers = workersOf(child.pid);
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [143, null]);
    await until(() => !workers.some(isAlive));
  });

  it('serves a UNet in JSON, and ends with 0 and nothing left when it is told to', async () => {
    const { child, url, log, ended } = await started(
      repositoryOf({ unet: modelPath('sd15-sdpa-ts17') }),
      '--drain',
      '0',
    );
    const zeros = (name: string, shape: number[]) => ({
      name,
      datatype: 'FP32',
      shape,
      data: new Array(shape.reduce((a, b) => a * b)).fill(0),
    });
    const inputs = [
      zeros('sample', [1, 4, 8, 8]),
      { name: 'timestep', datatype: 'INT64', shape: [1], data: [5] },
      zeros('encoder_hidden_states', [1, 7, 24]),
    ];
    const { status, json } = await ask(`${url}/v2/models/unet/infer`, { body: { inputs } });
    assert.equal(status, 200);
    assert.deepEqual(json.outputs[0].shape, [1, 4, 8, 8]);
    assert.ok(json.outputs[0].data.every(Number.isFinite));
    const wrong = await ask(`${url}/v2/models/unet/infer`, { body: { inputs: inputs.slice(1) } });
    assert.equal(wrong.status, 400);
    assert.match(wrong.json.error, /sample/);
    const workers = workersOf(child.pid);
    assert.equal(workers.length, 1);
    child.kill('SIGTERM');
    assert.equal(await ended, 0);
    await until(() => !workers.some(isAlive));
    for (const line of log().trim().split('\n')) assert.equal(typeof JSON.parse(line).msg, 'string');
  });

  it('SIGTERM: not ready at once, what runs is answered', async () => {
    const { child, url, ended } = await started(repositoryOf({ slow: countingModel() }), '--drain', '700');
    const answer = ask(`${url}/v2/models/slow/infer`, { body: counting(1_000_000) });
    await until(() => workersOf(child.pid).length === 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal((await ask(`${url}/v2/health/ready`)).status, 503);
    assert.equal((await ask(`${url}/v2/health/live`)).status, 200);
    const { status, json } = await answer;
    assert.deepEqual([status, json.outputs[0].data], [200, [1_000_000]]);
    assert.equal(await ended, 0);
  });

  it('goes on, and ends, when nobody reads its log any more', async () => {
    const folder = repositoryOf({ same: identityModel(['x', 'float', [1]]) });
    const long = 'x'.repeat(4000);
    for (const stop of ['pause', 'destroy'] as const) {
      const { child, url, ended } = await started(folder, '--drain', '0');
      child.stderr![stop]();
      for (let i = 0; i < 400; i++) assert.equal((await ask(`${url}/${long}`)).status, 404);
      assert.equal((await ask(`${url}/v2/health/ready`)).status, 200);
      child.kill('SIGTERM');
      assert.equal(await ended, 0, stop);
    }
  });

  it('a second signal ends it at once, its workers too', async () => {
    const { child, url, ended } = await started(repositoryOf({ slow: countingModel() }));
    const answer = assert.rejects(ask(`${url}/v2/models/slow/infer`, { body: counting(1e12) }));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const workers = workersOf(child.pid);
    child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.kill('SIGTERM');
    assert.equal(await ended, 143);
    await answer;
    await until(() => !workers.some(isAlive));
  });

  it('a full queue is 503 with Retry-After, a time that is up 504; health answers meanwhile', async () => {
    const { url } = await started(
      repositoryOf({ slow: countingModel() }),
      '--queue',
      '1',
      '--timeout',
      '1500',
    );
    const infer = () => ask(`${url}/v2/models/slow/infer`, { body: counting(1e12) });
    const first = infer();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const second = infer();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const third = await infer();
    assert.equal(third.status, 503);
    assert.equal(third.headers.get('retry-after'), '1');
    const asked = Date.now();
    assert.equal((await ask(`${url}/v2/health/ready`)).status, 200);
    assert.ok(Date.now() - asked < 500);
    assert.deepEqual([(await first).status, (await second).status], [504, 504]);
    assert.deepEqual(
      (await ask(`${url}/v2/models/slow/infer`, { body: counting(3) })).json.outputs[0].data,
      [3],
    );
  });

  it('says where it listens in words, and takes tokens from the environment', async () => {
    const options = ['serve', repositoryOf({ m: identityModel(['x', 'float', [1]]) }), '--port', '0'];
    const child = spawn(process.execPath, [MAIN, ...options], {
      env: { ...process.env, IPGRAFT_TOKEN: 'secret' },
    });
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text;
    });
    await until(() => /listens/.test(printed));
    assert.match(printed, /^model +m {2}version 1\nlistens +http:\/\/127\.0\.0\.1:\d+\n$/);
    const url = /http:\S+/.exec(printed)![0];
    assert.equal((await ask(`${url}/v2`)).status, 401);
    assert.equal((await ask(`${url}/v2`, { headers: { authorization: 'Bearer secret' } })).status, 200);
    child.kill('SIGINT');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });

  it('refuses to let the world in by oversight', async () => {
    const folder = repositoryOf({});
    for (const [options, message] of [
      [['--host', '0.0.0.0'], /--host 0\.0\.0\.0 is reached from other machines: sought --token/],
      [['--host', '::'], /sought --token/],
      [['--host', 'example.org'], /sought --token/],
      [['--host', '0.0.0.0', '--token', ''], /--token: sought a text/],
      [['--token', 'a b'], /--token: sought a text without spaces/],
      [['--model-control', 'explicit'], /sought --admin-token/],
      [['--model-control', 'explicit', '--token', 'a'], /sought --admin-token/],
      [['--port', '70000'], /--port 70000: sought a whole number from 0 to 65535/],
      [['--workers', '0'], /--workers 0/],
      [['--cache', '1.5'], /--cache 1\.5: sought a whole number from 0/],
      [['--timeout', '1.5'], /--timeout 1\.5/],
      [['--timeout', '2147483648'], /from 1 to 2147483647/],
      [['--provider', 'tpu'], /tpu/],
    ] as const) {
      const { code, stderr } = await ipgraft('serve', folder, ...options);
      assert.equal(code, 9, stderr);
      assert.match(stderr, message);
    }
    // Past these refusals it looks at the folder.
    for (const options of [
      ['--host', '0.0.0.0', '--insecure'],
      ['--host', '0.0.0.0', '--token', 't'],
      ['--host', '127.9.9.9'],
    ])
      assert.match((await ipgraft('serve', folder, ...options)).stderr, /^SERVER_REPOSITORY/);
  });

  it('a port that is taken is told, and no model stays', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const folder = repositoryOf({ m: identityModel(['x', 'float', [1]]) });
    const { code, stderr } = await ipgraft('serve', folder, '--port', String(port));
    other.close();
    assert.equal(code, 7);
    assert.match(stderr, new RegExp(`^SERVER_LISTEN: cannot listen on 127\\.0\\.0\\.1, port ${port}`));
    await until(() => workersOf().length === 0);
  });

  it('other verbs do not load what it needs', () => {
    const script = `process.argv = ['node', 'ipgraft', '--version']; require(${JSON.stringify(MAIN)});
      process.on('exit', () => console.error(JSON.stringify(Object.keys(require.cache))));`;
    const { stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    const loaded: string[] = JSON.parse(stderr);
    assert.ok(loaded.includes(MAIN));
    assert.deepEqual(
      loaded.filter((path) => /fastify|pino|onnxruntime/.test(path)),
      [],
    );
  });
});
