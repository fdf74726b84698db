import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processorTime, processState } from '../../fixtures/bench/serve/process-state.js';
import { MAIN, placeModel } from '../command.js';
import { freshFolder } from '../fixtures.js';
import { echoModel } from '../serve/echo-model.js';
import { ask, exchange, startServer, stopServers } from '../serve/http-server.js';
import { isAlive, until, workersOf } from '../serve/processes.js';
import { counting, repositoryOf, type ServeProcess, serve } from '../serve/serve-process.js';
import {
  countingModel,
  fillingModel,
  identityModel,
  placeWeights,
  weightyModel,
} from '../serve/small-models.js';
import { tellsNothing } from './tells-nothing.js';

const ECHO = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] };
/** Rounds that are not over before a test is. */
const FOREVER = 10 ** 15;
/** A step of the tiny UNet. */
const STEP = {
  inputs: [
    { name: 'sample', datatype: 'FP32', shape: [2, 4, 16, 16], data: zeros(2 * 4 * 16 * 16) },
    { name: 'timestep', datatype: 'INT64', shape: [1], data: [1] },
    { name: 'encoder_hidden_states', datatype: 'FP32', shape: [2, 77, 24], data: zeros(2 * 77 * 24) },
  ],
};
/** Linux alone takes memory from a process that runs. */
const hasPrlimit = existsSync('/usr/bin/prlimit');

describe('faults of a server that runs', () => {
  let server: ServeProcess | undefined;
  let folder: string;
  const start = async (models: Readonly<Record<string, string>>, ...options: readonly string[]) => {
    folder = repositoryOf({ echo: identityModel(['x', 'float', ['n']]), ...models });
    server = await serve(folder, '--threads', '1', '--max-body', String(1024 * 1024), ...options);
    return server;
  };
  /** Asks; whatever is answered tells nothing of the machine. */
  const asked = async (path: string, body?: unknown) => {
    const answer = await ask(server!.url + path, body === undefined ? {} : { body });
    tellsNothing(`${answer.bytes}`);
    return answer;
  };
  const infer = (model: string, body: unknown) => asked(`/v2/models/${model}/infer`, body);
  const count = async (n: number) => (await infer('count', counting(n))).json.outputs?.[0].data[0];
  /** The workers, in the order of their models: each answers with another. */
  const workers = () => workersOf(server!.child.pid);
  const isReady = async () => {
    assert.equal((await asked('/v2/health/ready')).status, 200);
    const { status, json } = await infer('echo', ECHO);
    assert.deepEqual([status, json.outputs?.[0].data], [200, [1, 2]]);
  };
  const entryOf = async (model: string) => {
    const { json } = await asked('/v2/repository/index', {});
    return json.find(({ name }: { name: string }) => name === model);
  };
  /** The process that runs what was sent to `count`: the one that works. */
  const runner = async () => {
    const used = () => new Map(workers().map((pid) => [pid, processorTime(pid)]));
    const before = used();
    await sleep(300);
    return [...used()].toSorted(([a, x], [b, y]) => y - before.get(b)! - (x - before.get(a)!))[0]![0];
  };
  afterEach(async () => {
    server?.child.kill('SIGKILL');
    await server?.ended;
    server = undefined;
  });

  it('a worker that is killed in a run, again and again: one request is lost each time, no other, and nothing leaks', async () => {
    const { child } = await start({ count: countingModel() });
    let before = 0;
    for (let i = 0; i < 8; i++) {
      const lost = infer('count', counting(FOREVER));
      const waits = count(3);
      const pid = await runner();
      process.kill(pid, 'SIGKILL');
      const { status, json } = await lost;
      assert.deepEqual([status, Object.keys(json)], [500, ['error']]);
      await isReady();
      assert.equal(await waits, 3);
      assert.ok(!isAlive(pid) && workers().length === 2);
      // The first two find what is loaded once.
      if (i === 1) before = processState(child.pid!).openFiles;
    }
    assert.ok(processState(child.pid!).openFiles <= before + 4);
  });

  it('a worker that hangs, and a run that takes too long: 504 in time, others meanwhile, and then it goes on', async () => {
    await start({ count: countingModel() }, '--timeout', '1500');
    for (const hang of [true, false]) {
      const late = infer('count', counting(FOREVER));
      if (hang) process.kill(await runner(), 'SIGSTOP');
      await isReady();
      assert.equal((await late).status, 504);
      await until(() => workers().length === 2, 20_000);
      assert.equal(await eventually(() => count(4), 4), 4);
    }
  });

  it('clients that go away: a short run ends by itself, a long one is ended', async () => {
    await start({ count: countingModel() });
    const before = workers();
    for (let i = 0; i < 20; i++) {
      const gone = new AbortController();
      const asked = ask(`${server!.url}/v2/models/count/infer`, {
        body: counting(30_000),
        signal: gone.signal,
      });
      await sleep(10);
      gone.abort();
      await asked.catch(() => {});
    }
    assert.equal(await count(5), 5);
    assert.deepEqual(workers(), before, 'no worker was lost');
    const gone = new AbortController();
    const long = ask(`${server!.url}/v2/models/count/infer`, {
      body: counting(FOREVER),
      signal: gone.signal,
    });
    const pid = await runner();
    gone.abort();
    await long.catch(() => {});
    await isReady();
    assert.equal(await count(6), 6);
    assert.ok(!isAlive(pid));
  });

  it('a model file that is replaced: what was loaded answers and is said to be old; no worker mixes the two', async () => {
    await start({ count: countingModel() });
    const path = join(folder, 'count', '1', 'model.onnx');
    const aside = join(freshFolder(), 'aside.onnx');
    renameSync(path, aside);
    writeFileSync(path, 'no model any more');
    assert.equal(await count(3), 3);
    const { state, reason } = await entryOf('count');
    assert.deepEqual([state, /files have changed/.test(reason)], ['READY', true]);
    await until(() => /count.*files have changed/.test(server!.log()), 20_000);
    const lost = infer('count', counting(FOREVER));
    process.kill(await runner(), 'SIGKILL');
    assert.equal((await lost).status, 500);
    await eventually(async () => (await asked('/v2/models/count/ready')).status, 503);
    const { status, json } = await infer('count', counting(1));
    assert.equal(status, 503);
    assert.match(json.error, /not ready: no worker is left.*files have changed/);
    assert.equal((await entryOf('count')).state, 'UNAVAILABLE');
    await isReady();
    renameSync(aside, path);
    assert.equal(await eventually(() => count(7), 7), 7);
    assert.equal((await entryOf('count')).reason, '');
  });

  it('data of a model that is cut short while it is mapped: that model may go, nothing else', async () => {
    const { base } = placeModel('sd15-sdpa-ts17-external');
    await start({ unet: base });
    assert.equal((await infer('unet', STEP)).status, 200);
    truncateSync(join(folder, 'unet', '1', `${basename(base)}_data`), 4096);
    for (let i = 0; i < 5; i++) {
      const { status } = await infer('unet', STEP);
      assert.ok([200, 500, 503].includes(status), `${status}`);
      await isReady();
    }
    assert.match((await entryOf('unet')).reason, /files have changed/);
    for (const pid of workers()) process.kill(pid, 'SIGKILL');
    await eventually(async () => (await asked('/v2/models/unet/ready')).status, 503);
    await eventually(async () => (await infer('echo', ECHO)).status, 200);
    await isReady();
  });

  it('a tensor that no machine holds: 500, and the model goes on', async () => {
    await start({ fill: fillingModel() });
    const fill = (n: number) =>
      infer('fill', { inputs: [{ name: 'shape', datatype: 'INT64', shape: [2], data: [n, n] }] });
    for (let i = 0; i < 5; i++) {
      assert.equal((await fill(2 ** 20)).status, 500);
      const { status, json } = await fill(2);
      assert.deepEqual([status, json.outputs?.[0].data], [200, [0, 0, 0, 0]]);
    }
    const { status, json } = await fill(600);
    assert.equal(status, 500);
    assert.match(json.error, /1440000 bytes of outputs, which exceed the maximum allowed, 1048576/);
    await isReady();
  });

  it('a worker whose memory is short: its request fails, and it or the next one goes on', async function () {
    if (!hasPrlimit) return this.skip();
    await start({ fill: fillingModel() });
    const fill = (n: number) =>
      infer('fill', { inputs: [{ name: 'shape', datatype: 'INT64', shape: [2], data: [n, n] }] });
    for (const pid of workers()) {
      const limit = processState(pid).virtual + 64 * 1024 * 1024;
      assert.equal(spawnSync('prlimit', ['--pid', String(pid), `--as=${limit}`]).status, 0);
    }
    // 400 MB.
    assert.equal((await fill(10_000)).status, 500);
    await eventually(async () => (await fill(2)).status, 200);
    await eventually(async () => (await infer('echo', ECHO)).status, 200);
    await isReady();
  });

  it('a model for which memory is short when it is loaded: that one does not come, the others answer', async function () {
    if (!hasPrlimit) return this.skip();
    // 1 GiB of weights, and 256 MiB for them.
    const side = 16_384;
    const { child } = await start(
      { heavy: weightyModel(side) },
      ...['--model-control', 'explicit', '--admin-token', 'admin'],
    );
    placeWeights(join(folder, 'heavy', '1'), side);
    const load = (model: string) =>
      ask(`${server!.url}/v2/repository/models/${model}/load`, {
        body: {},
        headers: { authorization: 'Bearer admin' },
      });
    assert.equal((await load('echo')).status, 200);
    await isReady();
    const limit =
      Math.max(...[child.pid!, ...workers()].map((pid) => processState(pid).virtual)) + 256 * 1024 ** 2;
    assert.equal(spawnSync('prlimit', ['--pid', String(child.pid), `--as=${limit}`]).status, 0);
    for (let i = 0; i < 3; i++) {
      const { status, bytes } = await load('heavy');
      tellsNothing(`${bytes}`);
      assert.equal(status, 400, `${bytes}`);
      assert.match(server!.log(), /model “heavy”: /);
      const { state, reason } = await entryOf('heavy');
      assert.deepEqual([state, reason], ['UNAVAILABLE', 'failed to load']);
      assert.equal((await infer('heavy', ECHO)).status, 503);
      await isReady();
      assert.equal(workers().length, 1);
    }
    const args = [`--as=${limit}`, process.execPath, MAIN, 'serve', folder, '--port', '0', '--threads', '1'];
    const { status, stderr } = spawnSync('prlimit', args, { encoding: 'utf8' });
    assert.equal(status, 10, stderr);
    assert.match(stderr, /^RUNTIME_LOAD: model “heavy”: .*\n {2}hint: Memory is short/m);
  });

  /** Asks again until the answer is this one. */
  async function eventually<T>(ask: () => Promise<T>, wanted: T): Promise<T> {
    for (const end = Date.now() + 30_000; ; await sleep(50)) {
      const found = await ask();
      if (found === wanted || Date.now() > end) {
        assert.equal(found, wanted);
        return found;
      }
    }
  }
});

describe('clients that are slow', () => {
  afterEach(stopServers);
  const MANY = 40;

  it('headers, bodies and silence without end, and answers that nobody takes: all closed in time, others are served', async () => {
    const wide = { name: 'x', datatype: 'FP32', shape: [-1], optional: false } as const;
    const options = { requestTimeout: 1500, answerTimeout: 1500, maxBody: 64 * 1024 * 1024 };
    const { url, log } = await startServer({ echo: echoModel([wide]) }, options);
    const filesBefore = processState(process.pid).openFiles;
    const data = Buffer.alloc(24 * 1024 * 1024);
    const json = JSON.stringify({
      inputs: [
        {
          name: 'x',
          datatype: 'FP32',
          shape: [data.length / 4],
          parameters: { binary_data_size: data.length },
        },
      ],
      parameters: { binary_data_output: true },
    });
    const head = (more: string) => `POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\n${more}`;
    const closed: Promise<unknown>[] = [];
    const sockets: Socket[] = [];
    const open = (bytes: string | Buffer, drip: string) => {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname).on('error', () => {});
      // What takes nothing never reads; the others notice their end by reading.
      if (drip !== '') socket.resume();
      const timer = setInterval(() => socket.write(drip), 100);
      closed.push(new Promise((resolve) => socket.once('close', () => resolve(clearInterval(timer)))));
      socket.write(bytes);
      sockets.push(socket);
    };
    for (let i = 0; i < MANY; i++) {
      open(head('X: '), 'x');
      open(head('Content-Length: 100000\r\n\r\n'), ' ');
      open(head('Transfer-Encoding: chunked\r\n\r\n'), '1\r\n \r\n');
      open('', ' ');
    }
    const greedy = `Content-Length: ${json.length + data.length}\r\nInference-Header-Content-Length: ${json.length}\r\n\r\n${json}`;
    for (let i = 0; i < 3; i++) open(Buffer.concat([Buffer.from(head(greedy)), data]), '');
    const isOver = Promise.all(closed.slice(0, 4 * MANY)).then(() => true);
    let answered = 0;
    for (const end = Date.now() + 30_000; ; answered++) {
      assert.equal((await ask(`${url}/v2/health/ready`)).status, 200);
      const { status } = await ask(`${url}/v2/models/echo/infer`, { body: ECHO });
      assert.equal(status, 200);
      const saysSo = log.filter(({ msg }) => msg === 'the client does not take its answer').length;
      if (saysSo === 3 && (await Promise.race([isOver, sleep(10)]))) break;
      assert.ok(Date.now() < end, `${saysSo} answers were not taken`);
    }
    assert.ok(answered > 5, `${answered} answers`);
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    await sleep(200);
    assert.ok(processState(process.pid).openFiles <= filesBefore + 8);
  });

  it('half-open connections: who sends no more is still answered, who is gone leaves nothing', async () => {
    const { url } = await startServer();
    const { hostname, port } = new URL(url);
    const body = JSON.stringify({
      inputs: [{ name: 'FP32', datatype: 'FP32', shape: [1], data: [1] }],
      outputs: [{ name: 'FP32_out' }],
    });
    const bytes = `POST /v2/models/echo/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const before = processState(process.pid).openFiles;
    for (let i = 0; i < 50; i++) {
      const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
      let received = '';
      socket.setEncoding('latin1').on('data', (text) => {
        received += text;
      });
      const ended = new Promise((resolve) => socket.once('end', resolve));
      socket.end(bytes);
      await ended;
      assert.match(received, /^HTTP\/1\.1 200 /);
    }
    for (let i = 0; i < 200; i++) {
      const socket = connect(Number(port), hostname).on('error', () => {});
      socket.write(bytes.slice(0, (i * 37) % bytes.length), () => socket.resetAndDestroy());
    }
    await sleep(500);
    assert.equal((await exchange(url, 'GET /v2/health/ready HTTP/1.0\r\n\r\n')).slice(9, 12), '200');
    assert.ok(processState(process.pid).openFiles <= before + 8);
  });
});

function zeros(length: number): number[] {
  return Array.from({ length }, () => 0);
}
