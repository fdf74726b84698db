import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ipgraft, MAIN } from '../command.js';
import { freshFolder } from '../fixtures.js';
import { ask, exchange } from './http-server.js';
import { identityModel } from './small-models.js';

/** A folder with one model. */
function repository(): string {
  const folder = freshFolder();
  mkdirSync(join(folder, 'm', '1'), { recursive: true });
  copyFileSync(identityModel(['x', 'float', ['n']]), join(folder, 'm', '1', 'model.onnx'));
  return folder;
}

describe('ipgraft serve: who is let in', () => {
  const running: ChildProcess[] = [];
  /** Starts the bundled command line, and answers with where it listens. */
  async function serve(...options: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [MAIN, 'serve', repository(), '--port', '0', '--json', ...options]);
    running.push(child);
    const [line] = await once(createInterface(child.stdout), 'line');
    return JSON.parse(line as string).url;
  }
  /** Status of the answer to a GET of /v2 with this Host. */
  const statusBy = async (url: string, host: string) =>
    Number(
      (await exchange(url, `GET /v2 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).slice(9, 12),
    );
  const statusFrom = async (url: string, origin: string) =>
    (await ask(`${url}/v2/repository/index`, { body: '', headers: { origin } })).status;
  afterEach(() => {
    for (const child of running.splice(0)) child.kill('SIGKILL');
  });

  it('the bundle has the page and the document, with the names of free dimensions', async () => {
    const url = await serve();
    const page = await ask(`${url}/`);
    assert.equal(page.status, 200);
    assert.match(String(page.bytes), /<style>.{1000}[\s\S]*<script>.{1000}/);
    const { json } = await ask(`${url}/openapi.json`);
    assert.deepEqual(json['x-ipgraft-models'][0].inputs, [
      { name: 'x', datatype: 'FP32', shape: ['n'], optional: false },
    ]);
  });

  it('without a token, only who comes by a name of this machine, and no page of another origin', async () => {
    const url = await serve();
    assert.deepEqual([await statusBy(url, 'localhost'), await statusBy(url, 'evil.example')], [200, 403]);
    assert.deepEqual([await statusFrom(url, url), await statusFrom(url, 'https://evil.example')], [200, 403]);
  });

  it('--allow-host and --allow-origin let more in, each as often as it is given', async () => {
    const url = await serve(
      ...['--allow-host', 'Models.example', '--allow-host', '[2001:db8::1]'],
      ...['--allow-origin', 'https://App.example/', '--allow-origin', 'http://localhost:3000'],
    );
    for (const host of ['models.example', '[2001:db8::1]:80', '127.0.0.1'])
      assert.equal(await statusBy(url, host), 200, host);
    assert.equal(await statusBy(url, 'evil.example'), 403);
    for (const origin of ['https://app.example', 'http://localhost:3000'])
      assert.equal(await statusFrom(url, origin), 200);
    assert.equal(await statusFrom(url, 'https://evil.example'), 403);
  });

  it('with a token names are checked only where some are given', async () => {
    const authorization = 'Authorization: Bearer t';
    const open = await serve('--token', 't');
    assert.equal(await statusBy(open, `any.example\r\n${authorization}`), 200);
    const checked = await serve('--token', 't', '--allow-host', 'models.example');
    assert.equal(await statusBy(checked, `any.example\r\n${authorization}`), 403);
    assert.equal(await statusBy(checked, `models.example\r\n${authorization}`), 200);
  });

  it('--rate-limit holds clients to a number', async () => {
    const url = await serve('--rate-limit', '2/hour');
    const asked = [await ask(`${url}/v2`), await ask(`${url}/v2`), await ask(`${url}/v2`)];
    assert.deepEqual(
      asked.map(({ status }) => status),
      [200, 200, 429],
    );
    assert.equal(asked[2]!.headers.get('retry-after'), '1800');
  });

  it('refuses values that are none', async () => {
    for (const [option, value] of [
      ['--rate-limit', '60'],
      ['--rate-limit', '0/minute'],
      ['--rate-limit', '1.5/second'],
      ['--rate-limit', '60/day'],
      ['--allow-host', 'http://models.example'],
      ['--allow-host', 'models.example:80'],
      ['--allow-host', '*'],
      ['--allow-origin', 'models.example'],
      ['--allow-origin', 'https://models.example/path'],
      ['--allow-origin', '*'],
      ['--allow-origin', 'null'],
      ['--allow-origin', 'file:///'],
    ] as const) {
      const { code, stderr } = await ipgraft('serve', 'nowhere', option, value);
      assert.equal(code, 9, `${option} ${value}`);
      assert.ok(stderr.startsWith(`OPTION_INVALID: ${option} ${value}: sought `), stderr);
    }
  });
});
