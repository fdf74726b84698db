import assert from 'node:assert/strict';
import { RateLimit } from '../../runtime/serve/rate-limit.js';
import { ask, exchange, startServer, stopServers } from './http-server.js';

const INDEX = '/v2/repository/index';

/** Status and text of the answer to a request with these header lines, as they are. */
async function answer(url: string, method: string, path: string, ...lines: readonly string[]) {
  const head = [`${method} ${path} HTTP/1.1`, ...lines, 'Connection: close', 'Content-Length: 0', '', ''];
  const [status, ...rest] = (await exchange(url, head.join('\r\n'))).split('\r\n');
  return { status: Number(status!.split(' ')[1]), head: rest.join('\n').toLowerCase(), text: rest.at(-1)! };
}

describe('names by which requests come', () => {
  afterEach(stopServers);

  it('the machine’s own are taken, in any spelling, and others are refused with what would let them in', async () => {
    const { url } = await startServer({}, { hosts: [], modelControl: 'explicit' });
    for (const host of [
      'localhost',
      'LOCALHOST:8000',
      'localhost.',
      '127.0.0.1',
      '127.9.8.7:1',
      '[::1]',
      '[::1]:8000',
    ])
      assert.equal((await answer(url, 'GET', '/v2', `Host: ${host}`)).status, 200, host);
    for (const host of [
      'evil.example',
      'evil.example:8000',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'evil.example@127.0.0.1',
      '127.0.0.1/evil',
      '128.0.0.1',
      '0.0.0.0',
      '[::2]',
      '2130706433',
      '',
    ])
      for (const [method, path] of [
        ['GET', '/v2'],
        ['GET', '/'],
        ['GET', '/nothing'],
        ['GET', '/v2/health/live'],
        ['POST', INDEX],
      ] as const) {
        const { status, text } = await answer(url, method, path, `Host: ${host}`);
        assert.equal(status, 403, `${method} ${path} ${host}`);
        assert.match(JSON.parse(text).error, /^the header Host names .*--allow-host NAME$/);
      }
    assert.match(await exchange(url, 'GET /v2 HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /);
  });

  it('names that were allowed are taken too, without regard to case and port', async () => {
    const { url } = await startServer(
      {},
      { hosts: ['models.example', '2001:db8::1'], modelControl: 'explicit' },
    );
    for (const host of ['models.example', 'Models.Example:443', '[2001:DB8::1]:80', 'localhost'])
      assert.equal((await answer(url, 'GET', '/v2', `Host: ${host}`)).status, 200, host);
    for (const host of ['other.example', 'a.models.example'])
      assert.equal((await answer(url, 'GET', '/v2', `Host: ${host}`)).status, 403, host);
  });

  it('where no names are given, all are taken', async () => {
    const { url } = await startServer();
    assert.equal((await answer(url, 'GET', '/v2', 'Host: evil.example')).status, 200);
  });
});

describe('pages of other origins', () => {
  afterEach(stopServers);
  const HOST = 'Host: localhost:8000';
  const ALLOWED = 'https://app.example';

  it('may not have a browser ask, by whatever it says of them', async () => {
    const { url } = await startServer({}, { modelControl: 'explicit' });
    for (const lines of [
      ['Origin: https://evil.example'],
      ['Origin: null'],
      ['Origin: http://localhost:3000'],
      ['Origin: http://localhost'],
      ['Sec-Fetch-Site: cross-site'],
      ['Sec-Fetch-Site: same-site'],
      ['Sec-Fetch-Site: cross-site', 'Origin: http://localhost:8000'],
      ['Origin: file://localhost:8000'],
    ]) {
      const { status, text } = await answer(url, 'POST', INDEX, HOST, ...lines);
      assert.equal(status, 403, lines.join());
      assert.match(JSON.parse(text).error, /--allow-origin ORIGIN$/);
    }
    for (const lines of [
      [],
      ['Origin: http://localhost:8000'],
      ['Sec-Fetch-Site: same-origin', 'Origin: https://behind.a.proxy'],
      ['Sec-Fetch-Site: none'],
    ])
      assert.equal((await answer(url, 'POST', INDEX, HOST, ...lines)).status, 200, lines.join());
  });

  it('read nothing: no answer says that they may', async () => {
    const { url } = await startServer();
    for (const [method, path, status] of [
      ['GET', '/v2/models/echo', 200],
      ['OPTIONS', '/v2/models/echo/infer', 405],
    ] as const) {
      const found = await answer(
        url,
        method,
        path,
        HOST,
        'Origin: https://evil.example',
        'Access-Control-Request-Method: POST',
      );
      assert.equal(found.status, status);
      assert.doesNotMatch(found.head, /access-control/);
    }
  });

  it('ask and read where their origin is allowed, tokens and errors included; others still do not', async () => {
    const { url } = await startServer(undefined, { origins: [ALLOWED], token: 'secret' });
    const preflight = [
      HOST,
      'Access-Control-Request-Method: POST',
      'Access-Control-Request-Headers: authorization,inference-header-content-length',
    ];
    const path = '/v2/models/echo/infer';
    const yes = await answer(url, 'OPTIONS', path, ...preflight, `Origin: ${ALLOWED}`);
    assert.equal(yes.status, 204);
    for (const line of [
      /^access-control-allow-origin: https:\/\/app\.example$/m,
      /^access-control-allow-methods: get, head, post$/m,
      /^access-control-allow-headers: authorization,inference-header-content-length$/m,
      /^vary: .*origin/m,
    ])
      assert.match(yes.head, line);
    const no = await answer(url, 'OPTIONS', path, ...preflight, 'Origin: https://evil.example');
    assert.equal(no.status, 401);
    assert.doesNotMatch(no.head, /access-control/);
    assert.equal((await answer(url, 'OPTIONS', path, HOST)).status, 401);
    const refused = await answer(url, 'POST', path, HOST, `Origin: ${ALLOWED}`);
    assert.equal(refused.status, 401);
    assert.match(refused.head, /^access-control-allow-origin: https:\/\/app\.example$/m);
    const asked = await answer(
      url,
      'POST',
      INDEX,
      HOST,
      `Origin: ${ALLOWED}`,
      'Sec-Fetch-Site: cross-site',
      'Authorization: Bearer secret',
    );
    assert.equal(asked.status, 200);
    assert.match(
      asked.head,
      /^access-control-expose-headers: inference-header-content-length, retry-after, x-request-id$/m,
    );
    assert.doesNotMatch(asked.head, /allow-credentials/);
    for (const origin of [
      'https://evil.example',
      'https://app.example.evil',
      'http://app.example',
      `${ALLOWED}:8443`,
    ])
      assert.equal(
        (await answer(url, 'POST', INDEX, HOST, `Origin: ${origin}`, 'Authorization: Bearer secret')).status,
        403,
        origin,
      );
  });

  it('methods that there are not stay refused where origins are allowed', async () => {
    const { url } = await startServer(undefined, { origins: [ALLOWED] });
    const found = await answer(url, 'OPTIONS', '/v2', HOST);
    assert.equal(found.status, 405);
    assert.match(found.head, /^allow: get$/m);
    assert.equal((await answer(url, 'OPTIONS', '/nothing', HOST)).status, 404);
  });
});

describe('how often clients may ask', () => {
  afterEach(stopServers);
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  const rateLimit = () => new RateLimit({ count: 3, ms: 3_600_000 });

  it('more is 429 with Retry-After, but for probes and scrapes', async () => {
    const { url } = await startServer(undefined, { rateLimit: rateLimit() });
    for (const path of ['/v2', '/nothing', '/v2/models/echo/infer'])
      assert.notEqual((await ask(url + path)).status, 429, path);
    for (const path of ['/v2', '/nothing', '/', '/openapi.json', '/v2/models/echo/infer']) {
      const { status, headers, json } = await ask(url + path);
      assert.equal(status, 429, path);
      assert.equal(headers.get('retry-after'), '1200');
      assert.deepEqual(json, {
        error: 'too many requests: 3 in 3600 s are taken from one client; the next in 1200 s',
      });
    }
    for (const path of ['/v2/health/live', '/v2/health/ready', '/v2/models/echo/ready', '/metrics'])
      assert.equal((await ask(url + path)).status, 200, path);
  });

  it('a client is its token; who has none, or a wrong one, is an address, and guesses no more', async () => {
    const { url } = await startServer(undefined, {
      rateLimit: rateLimit(),
      token: 'user',
      adminToken: 'admin',
    });
    for (let i = 0; i < 3; i++) assert.equal((await ask(`${url}/metrics`, bearer(`guess-${i}`))).status, 401);
    assert.equal((await ask(`${url}/metrics`, bearer('guess'))).status, 429);
    assert.equal((await ask(`${url}/v2`)).status, 429);
    for (const token of ['user', 'admin']) {
      for (let i = 0; i < 3; i++) assert.equal((await ask(`${url}/v2`, bearer(token))).status, 200);
      assert.equal((await ask(`${url}/v2`, bearer(token))).status, 429);
      assert.equal((await ask(`${url}/metrics`, bearer(token))).status, 200);
    }
  });
});
