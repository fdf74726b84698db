import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { curlRequest } from '../../runtime/html/browser/serve/curl-request.js';
import { pythonRequest } from '../../runtime/html/browser/serve/python-request.js';
import type { RequestTo } from '../../runtime/html/browser/serve/request.js';
import { typescriptRequest } from '../../runtime/html/browser/serve/typescript-request.js';
import type { Datatype } from '../../runtime/serve/tensor.js';
import { freshFolder } from '../fixtures.js';
import { DATATYPES, echoModel } from './echo-model.js';
import { ask, startServer, stopServers } from './http-server.js';
import { pipelinesFolder, startPictureServer } from './picture-server.js';

const run = promisify(execFile);
/** What a shell, JSON, JavaScript, Python or HTML could take for its own. */
const HOSTILE = `'"\\\`$(touch hacked)</script><img src=x onerror=alert(1)>\u202e\n😀 %s`;

/** A request with one input and one output of a datatype. */
function requestTo(base: string, datatype: Datatype, shape: readonly number[], name: string): RequestTo {
  return {
    base: `${base}/`,
    model: 'm',
    hasToken: true,
    inputs: [{ name, datatype, shape }],
    outputs: [{ name: `${name}_out`, datatype }],
  };
}

describe('the page for people', () => {
  afterEach(stopServers);

  it('is open and names no model; nothing but its own style and script may run in it, and no frame hold it', async () => {
    const token = 'secret';
    const models = await startServer({ 'a-secret-model': echoModel() }, { token });
    const pictures = await startPictureServer(
      await pipelinesFolder({ 'a-secret-model': [[]] }),
      {},
      { token },
    );
    for (const [url, title] of [
      [`${models.url}/`, 'Models'],
      [`${models.url}/models`, 'Models'],
      [`${pictures.url}/`, 'Pictures'],
      [`${pictures.url}/models`, 'Models'],
    ] as const) {
      const { status, headers, bytes } = await ask(url);
      const page = String(bytes);
      assert.equal(status, 200);
      assert.equal(headers.get('content-type'), 'text/html; charset=utf-8');
      assert.ok(page.includes(`<h1>${title}</h1>`));
      assert.doesNotMatch(page, /a-secret-model|secret/);
      const policy = headers.get('content-security-policy')!;
      for (const [, tag, text] of page.matchAll(/<(style|script)>([\s\S]*?)<\/\1>/g)) {
        const digest = createHash('sha256').update(text!).digest('base64');
        assert.ok(policy.includes(`${tag}-src 'sha256-${digest}'`), tag);
      }
      assert.doesNotMatch(policy, /unsafe|\*|https?:/);
      for (const directive of [
        "default-src 'none'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
      ])
        assert.ok(policy.split('; ').includes(directive), directive);
      assert.deepEqual(
        ['x-content-type-options', 'x-frame-options', 'referrer-policy'].map((name) => headers.get(name)),
        ['nosniff', 'DENY', 'no-referrer'],
      );
      assert.doesNotMatch(page, /(?:src|href)="(?!openapi\.json|metrics|models"|\.\/"|#|data:)/);
      assert.equal(page.includes('href="models"'), url.startsWith(pictures.url));
      assert.equal((await ask(url, { method: 'POST', body: '' })).status, 405);
    }
  });

  for (const datatype of DATATYPES)
    it(`its requests with ${datatype} are answered, whatever the tensor’s name is`, async () => {
      const echo = echoModel([{ name: HOSTILE, datatype, shape: [-1], optional: false }]);
      const { url } = await startServer({ m: echo }, { token: 'secret' });
      const env = { ...process.env, IPGRAFT_TOKEN: 'secret' };
      // Few elements go as JSON where they can, many as bytes.
      for (const shape of [[1], [300]]) {
        const request = requestTo(url, datatype, shape, HOSTILE);
        const cwd = freshFolder();
        const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', curlRequest(request)], { cwd, env });
        const isBinary = /^HTTP\/1\.1 200 OK/.test(stdout);
        const length = isBinary ? Number(/^inference-header-content-length: (\d+)/im.exec(stdout)![1]) : 0;
        const reply = isBinary ? readFileSync(join(cwd, 'reply.bin')) : Buffer.from(stdout);
        const { outputs } = JSON.parse(String(isBinary ? reply.subarray(0, length) : reply));
        assert.deepEqual([outputs[0].name, outputs[0].shape], [`${HOSTILE}_out`, shape]);
        if (isBinary) assert.ok(reply.subarray(length).every((byte) => byte === 0));
        else
          assert.deepEqual(
            new Set(outputs[0].data),
            new Set([datatype === 'BYTES' ? 'text' : datatype === 'BOOL' ? false : 0]),
          );
        const { code } = await transform(typescriptRequest(request), { loader: 'ts' });
        writeFileSync(join(cwd, 'request.mjs'), code);
        const printed = await run(process.execPath, ['request.mjs'], { cwd, env });
        assert.equal(printed.stderr, '');
        if (isBinary)
          assert.match(
            printed.stdout,
            new RegExp(`shape: \\[ ${shape[0]} \\],\\s+data: \\w+Array\\(${shape[0]}\\) `),
          );
        else assert.ok(printed.stdout.includes('datatype: '));
        assert.ok(!existsSync(join(cwd, 'hacked')));
      }
    });

  it('what is refused is told: the status ends curl, and its text is printed', async () => {
    const { url } = await startServer({
      m: echoModel([{ name: 'x', datatype: 'FP16', shape: [2], optional: false }]),
    });
    const request = { ...requestTo(url, 'FP16', [2], 'x'), model: 'other' };
    const { stdout } = await run('bash', ['-c', curlRequest(request)], { cwd: freshFolder() });
    assert.match(
      stdout,
      /^HTTP\/1\.1 404 [\s\S]*\{"error":"Request for unknown model: 'other' is not found"\}$/,
    );
  });

  it('its Python is Python', async () => {
    const script = pythonRequest(requestTo('https://models.example/ip', 'FP32', [2, 3], HOSTILE));
    assert.match(script, /InferenceServerClient\("models\.example\/ip", network_timeout=300, ssl=True\)/);
    const check =
      'import ast, sys; print(ascii(ast.literal_eval(ast.parse(sys.stdin.read()).body[5].value.keys[0])))';
    const running = run('python3', ['-c', check]);
    running.child.stdin!.end(script);
    assert.equal(
      (await running).stdout.trim(),
      `'\\'"\\\\\`$(touch hacked)</script><img src=x onerror=alert(1)>\\u202e\\n\\U0001f600 %s'`,
    );
  });
});
