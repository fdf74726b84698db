import assert from 'node:assert/strict';
import { RateLimit } from '../../runtime/serve/rate-limit.js';
import { allEvents, openEvents, type StreamedEvent } from './event-stream.js';
import { ask, stopServers, type TestServer } from './http-server.js';
import { type Gate, pipelinesFolder, startPictureServer } from './picture-server.js';
import { until } from './processes.js';

const FOX = { prompt: 'a fox', steps: 2, seed: 1, guidance_scale: 1 };

describe('requests for pictures at once', () => {
  let folder: string;
  let server: TestServer & { readonly gate: Gate };
  const generations = () => `${server.url}/v1/images/generations`;
  const post = (body: unknown = FOX) => ask(generations(), { body });
  const metric = async (name: string) => {
    const { bytes } = await ask(`${server.url}/metrics`);
    return Number(new RegExp(`^${name}(?:{[^}]*})? (.+)$`, 'm').exec(String(bytes))?.[1]);
  };
  /** Waits until a metric says so. */
  const settles = async (name: string, value: number) => {
    for (const end = Date.now() + 10_000; (await metric(name)) !== value; ) assert.ok(Date.now() < end, name);
  };
  before(async () => {
    folder = await pipelinesFolder({ fox: [[]] });
  });
  afterEach(async () => {
    server.gate.open();
    await stopServers();
  });

  it('wait in a queue with an end, are told where they are, and leave it when their clients go', async () => {
    server = await startPictureServer(folder, { queueSize: 3 });
    server.gate.close();
    const first = post();
    await until(() => server.gate.begun === 1);
    const gone = new AbortController();
    const leaving = await openEvents(generations(), { ...FOX, stream: true }, gone.signal);
    assert.deepEqual((await leaving.next()).value, { type: 'image_generation.queued', position: 0 });
    const staying = await openEvents(generations(), { ...FOX, stream: true });
    assert.deepEqual((await staying.next()).value, { type: 'image_generation.queued', position: 1 });
    const last = post();
    await settles('ipgraft_picture_queue_depth', 3);
    const refused = await post();
    assert.equal(refused.status, 503);
    assert.equal(refused.json.error.code, 'SERVER_BUSY');
    assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    gone.abort();
    assert.deepEqual((await staying.next()).value, { type: 'image_generation.queued', position: 0 });
    assert.equal(await metric('ipgraft_picture_queue_depth'), 2);
    server.gate.open();
    assert.equal((await first).status, 200);
    const rest: StreamedEvent[] = [];
    for await (const event of staying) rest.push(event);
    assert.equal(rest.at(-1)!.type, 'image_generation.completed');
    assert.equal((await last).status, 200);
    assert.equal(await metric('ipgraft_pictures_running'), 0);
  });

  it('are run as many at once as there are workers', async () => {
    server = await startPictureServer(folder, { workers: 2 });
    server.gate.close();
    const all = Array.from({ length: 5 }, () => post());
    await until(() => server.gate.begun === 2);
    await settles('ipgraft_picture_queue_depth', 3);
    assert.equal(await metric('ipgraft_pictures_running'), 2);
    server.gate.open();
    for (const { status } of await Promise.all(all)) assert.equal(status, 200);
  });

  it('end within a step when their clients go', async () => {
    server = await startPictureServer(folder);
    const gone = new AbortController();
    const events = await openEvents(generations(), { ...FOX, steps: 20, stream: true }, gone.signal);
    for await (const { type } of events) if (type.endsWith('.step')) break;
    gone.abort();
    await settles('ipgraft_pictures_running', 0);
    assert.ok(server.gate.begun < 20);
    const { bytes } = await ask(`${server.url}/metrics`);
    assert.match(String(bytes), /outcome="cancelled"} 1\n/);
    assert.equal((await post()).status, 200);
  });

  it('end with 504, or an error event, when their time is up', async () => {
    server = await startPictureServer(folder, {}, { timeout: 300 });
    server.gate.close();
    const running = post();
    await until(() => server.gate.begun === 1);
    const events = await allEvents(generations(), { ...FOX, stream: true });
    assert.equal(events[0]!.type, 'image_generation.queued');
    assert.equal(events.at(-1)!.type, 'error');
    assert.equal(events.at(-1)!.error.code, 'SERVER_TIMEOUT');
    server.gate.open();
    assert.equal((await running).status, 504);
  });

  it('may end after the server was told to, and are told when they may not', async () => {
    server = await startPictureServer(folder);
    server.gate.close();
    const running = await openEvents(generations(), { ...FOX, stream: true });
    await running.next();
    const waiting = await openEvents(generations(), { ...FOX, stream: true });
    await waiting.next();
    const plain = post();
    await settles('ipgraft_picture_queue_depth', 2);
    const stopped = server.stop(0, 300);
    const late = await post().catch(() => undefined);
    assert.ok(late === undefined || late.status === 503);
    for (const events of [running, waiting]) {
      const { value } = await events.next();
      assert.deepEqual([value.type, value.error.code], ['error', 'SERVER_MODEL_NOT_READY']);
      if (events === waiting) assert.ok((await events.next()).done);
    }
    assert.equal((await plain).status, 503);
    server.gate.open();
    await stopped;
  });

  it('are let in as all others are', async () => {
    const rateLimit = new RateLimit({ count: 3, ms: 60_000 });
    server = await startPictureServer(folder, {}, { token: 'secret', hosts: [], rateLimit });
    const authorization = 'Bearer secret';
    const none = await post();
    assert.deepEqual([none.status, none.json.error.type], [401, 'authentication_error']);
    const other = { authorization, 'sec-fetch-site': 'cross-site', origin: 'https://other.example' };
    const page = await ask(generations(), { body: FOX, headers: other });
    assert.deepEqual([page.status, page.json.error.type], [403, 'permission_error']);
    assert.equal((await ask(`${server.url}/v1/models`)).status, 401);
    const statuses = [];
    for (let i = 0; i < 4; i++) {
      const answer = await ask(`${server.url}/v1/models`, { headers: { authorization } });
      statuses.push(answer.status);
      if (answer.status === 429) assert.ok(Number(answer.headers.get('retry-after')) > 0);
    }
    assert.deepEqual(statuses, [200, 200, 200, 429]);
  });
});
