import assert from 'node:assert/strict';
import { ask, exchange, startServer, stopServers } from './http-server.js';

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('tokens', () => {
  afterEach(stopServers);

  it('health is open, all else asks for the token, whatever the path, verb or spelling', async () => {
    const { url } = await startServer(undefined, { token: 'secret' });
    for (const path of [
      '/v2/health/live',
      '/v2/health/ready',
      '/v2/models/echo/ready',
      '/v2/models/echo/versions/1/ready',
    ])
      assert.equal((await ask(url + path)).status, 200, path);
    for (const path of [
      '/v2',
      '/v2/',
      '/%762',
      '/metrics',
      '/v2/models/echo',
      '/v2/models/%65cho',
      '/v2/models/stats',
      '/v2/models/echo/stats',
      '/v2/models/echo/config',
      '/v2/logging',
      '/v2/trace/setting',
      '/nothing',
      '/V2',
      '//v2',
    ])
      for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']) {
        const { status, headers } = await ask(url + path, { method });
        assert.equal(status, 401, `${method} ${path}`);
        assert.equal(headers.get('www-authenticate'), 'Bearer');
      }
    for (const path of ['/v2/models/echo/infer', '/v2/repository/index', '/v2/repository/models/echo/load'])
      assert.equal((await ask(url + path, { body: {} })).status, 401, path);
    for (const given of ['secre', 'secrets', 'Secret', '', 'secret secret'])
      assert.equal((await ask(`${url}/v2`, bearer(given))).status, 401, given);
    for (const authorization of ['secret', 'Basic secret', 'Bearersecret'])
      assert.equal((await ask(`${url}/v2`, { headers: { authorization } })).status, 401, authorization);
    assert.equal((await ask(`${url}/v2`, bearer('secret'))).status, 200);
    assert.equal((await ask(`${url}/v2`, { headers: { authorization: 'bearer  secret' } })).status, 200);
  });

  it('no body is read of a request without token', async () => {
    const { url } = await startServer(undefined, { token: 'secret' });
    const head = 'POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n';
    assert.match(await exchange(url, head, /\}$/), /^HTTP\/1\.1 401 /);
  });

  it('loading and unloading ask for the admin token, which opens all else too', async () => {
    const options = { token: 'user', adminToken: 'admin', modelControl: 'explicit' } as const;
    const { url } = await startServer(undefined, options);
    for (const verb of ['load', 'unload']) {
      const path = `${url}/v2/repository/models/echo/${verb}`;
      assert.equal((await ask(path, { body: {} })).status, 401);
      const refused = await ask(path, { body: {}, ...bearer('user') });
      assert.deepEqual([refused.status, refused.json], [403, { error: 'this needs the admin token' }]);
      assert.equal((await ask(path, { body: {}, ...bearer('admin') })).status, 200);
    }
    assert.equal((await ask(`${url}/v2/repository/index`, { body: {}, ...bearer('user') })).status, 200);
    assert.equal((await ask(`${url}/v2`, bearer('admin'))).status, 200);
  });

  it('with an admin token alone, only what is the admin’s asks for it', async () => {
    const { url } = await startServer(undefined, { adminToken: 'admin', modelControl: 'explicit' });
    assert.equal((await ask(`${url}/v2`)).status, 200);
    assert.equal((await ask(`${url}/v2/repository/models/echo/load`, { body: {} })).status, 401);
    assert.equal(
      (await ask(`${url}/v2/repository/models/echo/load`, { body: {}, ...bearer('admin') })).status,
      200,
    );
  });

  it('without --model-control explicit nothing is loaded or unloaded, whoever asks', async () => {
    const { url } = await startServer(undefined, { adminToken: 'admin' });
    for (const verb of ['load', 'unload']) {
      const { status, json } = await ask(`${url}/v2/repository/models/echo/${verb}`, {
        body: {},
        ...bearer('admin'),
      });
      assert.equal(status, 403);
      assert.match(json.error, /--model-control explicit/);
    }
    assert.equal((await ask(`${url}/v2/models/echo/ready`)).status, 200);
  });

  it('tokens are not in the log', async () => {
    const { url, log } = await startServer(undefined, { token: 'secret' });
    await ask(`${url}/v2`, bearer('secret'));
    await ask(`${url}/v2`, bearer('wrong-one'));
    assert.ok(log.some(({ url: path, status }) => path === '/v2' && status === 200));
    assert.doesNotMatch(JSON.stringify(log), /secret|wrong-one/);
  });
});
