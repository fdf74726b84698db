import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { ask, exchange, startServer, stopServers } from './http-server.js';

const infer = '/v2/models/echo/infer';

describe('attacks over HTTP', () => {
  afterEach(stopServers);

  it('names that lead out of the repository, in any spelling', async () => {
    const { url } = await startServer();
    const names = [
      '..%2f..%2fetc',
      '%2e%2e%2fetc',
      '..',
      '%2e%2e',
      'a%00b',
      'echo%00',
      '%2fetc',
      '.hidden',
      'a%0Ab',
      'é',
      'x'.repeat(129),
    ];
    for (const name of [...names, 'x'.repeat(2000)])
      for (const rest of ['', '/ready', '/config', '/stats', '/infer', '/versions/1']) {
        const request = `GET /v2/models/${name}${rest} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
        const [status, body] = [...(await exchange(url, request)).matchAll(/^HTTP\/1\.1 (\d+)|^\{.*/gm)];
        assert.ok(['400', '404', '405', '414'].includes(status![1]!), `${name}${rest}: ${status}`);
        assert.deepEqual(Object.keys(JSON.parse(body![0])), ['error']);
      }
    assert.equal((await ask(`${url}/v2/models/echo/versions/1.0`)).status, 400);
    assert.equal((await ask(`${url}/v2/models/echo/versions/2`)).status, 404);
  });

  it('bodies above the limit, as they come, in chunks, and decompressed', async () => {
    const { url } = await startServer({}, { maxBody: 100_000, modelControl: 'explicit' });
    const path = `${url}/v2/repository/index`;
    const large = await ask(path, { body: Buffer.alloc(100_001, ' ') });
    assert.equal(large.status, 413);
    assert.match(large.json.error, /exceeds the maximum allowed/);
    assert.equal((await ask(path, { body: Buffer.alloc(100_000, ' ') })).status, 400);
    const chunk = `${(60_000).toString(16)}\r\n${' '.repeat(60_000)}\r\n`;
    const head = 'POST /v2/repository/index HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    assert.match(await exchange(url, head + chunk + chunk, /\}$/), /^HTTP\/1\.1 413 /);
    const compressed = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const before = process.memoryUsage().arrayBuffers;
    const bomb = await ask(path, { body: compressed, headers: { 'content-encoding': 'gzip' } });
    assert.equal(bomb.status, 413);
    assert.match(bomb.json.error, /decompressed body exceeds the maximum allowed/);
    assert.ok(process.memoryUsage().arrayBuffers - before < 32 * 1024 * 1024);
  });

  it('seventy thousand chunks of one byte', async () => {
    const { url } = await startServer();
    const body = JSON.stringify({
      inputs: [{ name: 'BYTES', datatype: 'BYTES', shape: [1], data: ['x'.repeat(70_000)] }],
      outputs: [{ name: 'BYTES_out' }],
    });
    const chunks = [...body].map((character) => `1\r\n${character}\r\n`).join('');
    const head = `POST ${infer} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`;
    assert.match(await exchange(url, `${head}${chunks}0\r\n\r\n`), /^HTTP\/1\.1 200 OK/);
  });

  it('requests that never end: their connections are closed', async () => {
    const { url } = await startServer({}, { requestTimeout: 300, modelControl: 'explicit' });
    const started = Date.now();
    const slow = await Promise.all([
      exchange(url, `POST ${infer} HTTP/1.1\r\nHost: a\r\nX: `),
      exchange(url, `POST ${infer} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{`),
      exchange(url, `POST ${infer} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`),
    ]);
    assert.ok(Date.now() - started < 5000);
    for (const answer of slow)
      assert.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n(.+\r\n)+\r\n\{"error":"Request Timeout"\}$/);
  });

  it('what is no HTTP, or too much of it', async () => {
    const { url } = await startServer();
    assert.match(
      await exchange(url, 'nonsense\r\n\r\n'),
      /^HTTP\/1\.1 400 Bad Request\r\n(.+\r\n)+\r\n\{"error":"Bad Request"\}$/,
    );
    const header = `GET /v2 HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`;
    assert.match(await exchange(url, header), /^HTTP\/1\.1 431 /);
    // Two requests to one, one to another: what smuggling lives on.
    const both = `POST ${infer} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`;
    assert.match(await exchange(url, both, /\}$/), /^HTTP\/1\.1 400 /);
    assert.equal((await ask(`${url}/v2/health/live`)).status, 200);
  });

  it('requests sent all at once are answered one by one, in order, each for itself', async () => {
    const { url } = await startServer();
    const text = (id: number) =>
      JSON.stringify({
        id: String(id),
        inputs: [{ name: 'INT32', datatype: 'INT32', shape: [1], data: id % 3 === 0 ? [0.5] : [id] }],
        outputs: [{ name: 'INT32_out' }],
      });
    const sent = Array.from({ length: 300 }, (_, id) => {
      const last = id === 299 ? 'Connection: close\r\n' : '';
      return `POST ${infer} HTTP/1.1\r\nHost: a\r\n${last}Content-Length: ${text(id).length}\r\n\r\n${text(id)}`;
    });
    const received = await exchange(url, sent.join(''));
    const answers = [...received.matchAll(/HTTP\/1\.1 (\d+) |"id":"(\d+)"/g)].map(
      (match) => match[1] ?? match[2],
    );
    const expected = sent.flatMap((_, id) => (id % 3 === 0 ? ['400'] : ['200', String(id)]));
    assert.deepEqual(answers, expected);
  });

  it('lengths of JSON that are not the body’s', async () => {
    const { url } = await startServer();
    for (const length of ['-1', '3', '1e1', '99999999999999999999', '0x1']) {
      const answer = await ask(url + infer, {
        body: '{}',
        headers: { 'inference-header-content-length': length },
      });
      assert.equal(answer.status, 400, length);
      assert.match(answer.json.error, /sought 0 to 2/);
    }
    const twice = `POST ${infer} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nInference-Header-Content-Length: 1\r\nInference-Header-Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`;
    assert.match(await exchange(url, twice), /^HTTP\/1\.1 400 /);
  });

  it('settings that would write files, shared memory, models in requests', async () => {
    const { url } = await startServer({}, { modelControl: 'explicit' });
    for (const [path, body] of [
      ['/v2/logging', { log_file: '/tmp/evil' }],
      ['/v2/trace/setting', { trace_file: '/tmp/evil' }],
      ['/v2/models/echo/trace/setting', { trace_file: '/tmp/evil' }],
      ['/v2/systemsharedmemory/region/r/register', { key: '/r', offset: 0, byte_size: 8 }],
      ['/v2/cudasharedmemory/region/r/register', {}],
      ['/v2/systemsharedmemory/unregister', {}],
      ['/v2/repository/models/echo/load', { parameters: { config: '{}', 'file:../../evil': 'AA==' } }],
    ] as const) {
      const { status, json } = await ask(url + path, { body });
      assert.equal(status, 501, path);
      assert.doesNotMatch(json.error, /evil/);
    }
    assert.equal((await ask(`${url}/v2/systemsharedmemory/status`)).status, 501);
  });
});
