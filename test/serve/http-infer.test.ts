import assert from 'node:assert/strict';
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { echoModel, failing, untilCancelled } from './echo-model.js';
import { ask, exchange, startServer, stopServers } from './http-server.js';
import { until } from './processes.js';

const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);
const INPUT = { name: 'FP32', datatype: 'FP32', shape: [2] };
const OUTPUTS = [{ name: 'FP32_out' }];
const REQUEST = { inputs: [{ ...INPUT, data: [1, 2] }], outputs: OUTPUTS };

/** The same request with its tensor behind the JSON, there and back. */
function binaryRequest(): { body: Buffer; headers: Record<string, string> } {
  const json = Buffer.from(
    JSON.stringify({
      inputs: [{ ...INPUT, parameters: { binary_data_size: 8 } }],
      outputs: [{ name: 'FP32_out', parameters: { binary_data: true } }],
    }),
  );
  return {
    body: Buffer.concat([json, floats(1, 2)]),
    headers: { 'inference-header-content-length': String(json.length) },
  };
}

describe('inference over HTTP', () => {
  afterEach(stopServers);

  it('answers JSON with JSON, under exactly that type', async () => {
    const { url } = await startServer();
    for (const path of [
      '/v2/models/echo/infer',
      '/v2/models/echo/versions/1/infer',
      '/v2/models/echo/infer/',
    ]) {
      const { status, headers, json } = await ask(url + path, { body: { ...REQUEST, id: 'mine' } });
      assert.equal(status, 200);
      assert.equal(headers.get('content-type'), 'application/json');
      assert.equal(headers.get('inference-header-content-length'), null);
      assert.deepEqual(json, {
        model_name: 'echo',
        model_version: '1',
        id: 'mine',
        outputs: [{ name: 'FP32_out', datatype: 'FP32', shape: [2], data: [1, 2] }],
      });
    }
  });

  it('takes no content type, or any: the header says what is JSON', async () => {
    const { url } = await startServer();
    const { body, headers } = binaryRequest();
    for (const type of [undefined, 'application/json', 'application/octet-stream', 'text/plain']) {
      const typed = type === undefined ? {} : { 'content-type': type };
      const binary = await ask(`${url}/v2/models/echo/infer`, {
        body,
        headers: { ...headers, ...typed, 'accept-encoding': 'identity' },
      });
      assert.equal(binary.status, 200);
      assert.equal(binary.headers.get('content-type'), 'application/octet-stream');
      const length = Number(binary.headers.get('inference-header-content-length'));
      assert.deepEqual(binary.bytes.subarray(length), floats(1, 2));
      assert.equal(Number(binary.headers.get('content-length')), binary.bytes.length);
      const plain = await ask(`${url}/v2/models/echo/infer`, { body: REQUEST, headers: typed });
      assert.equal(plain.status, 200);
    }
    const text = JSON.stringify(REQUEST);
    const head = `POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n`;
    assert.match(await exchange(url, head + text), /^HTTP\/1\.1 200 OK/);
  });

  it('makes an id where there is none, of the request or of the header', async () => {
    const { url } = await startServer();
    const { json, headers } = await ask(`${url}/v2/models/echo/infer`, { body: { ...REQUEST, id: '' } });
    assert.match(json.id, /^[\da-f-]{36}$/);
    assert.equal(json.id, headers.get('x-request-id'));
    const named = await ask(`${url}/v2/models/echo/infer`, {
      body: REQUEST,
      headers: { 'x-request-id': 'abc' },
    });
    assert.equal(named.json.id, 'abc');
    const odd = await ask(`${url}/v2/models/echo/infer`, {
      body: REQUEST,
      headers: { 'x-request-id': 'a b"c' },
    });
    assert.match(odd.json.id, /^[\da-f-]{36}$/);
  });

  it('reads gzip and deflate, of the whole body; other compressions are refused', async () => {
    const { url } = await startServer();
    const { body, headers } = binaryRequest();
    for (const [encoding, bytes] of [
      ['gzip', gzipSync(body)],
      ['deflate', deflateSync(body)],
      ['GZIP', gzipSync(body)],
      ['identity', body],
    ] as const) {
      const answer = await ask(`${url}/v2/models/echo/infer`, {
        body: bytes,
        headers: { ...headers, 'content-encoding': encoding },
      });
      assert.equal(answer.status, 200, encoding);
    }
    const brotli = await ask(`${url}/v2/models/echo/infer`, {
      body,
      headers: { ...headers, 'content-encoding': 'br' },
    });
    assert.equal(brotli.status, 415);
    assert.equal(brotli.headers.get('accept-encoding'), 'gzip, deflate');
    assert.match(brotli.json.error, /sought gzip or deflate, found br/);
    const damaged = await ask(`${url}/v2/models/echo/infer`, {
      body,
      headers: { ...headers, 'content-encoding': 'gzip' },
    });
    assert.deepEqual(
      [damaged.status, damaged.json],
      [400, { error: 'the body is not gzip, as Content-Encoding says' }],
    );
  });

  it('compresses answers as Accept-Encoding weighs it, and nothing but those', async () => {
    const { url } = await startServer();
    const { body, headers } = binaryRequest();
    const encodingOf = async (accept: string) => {
      const text = `POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept-Encoding: ${accept}\r\nInference-Header-Content-Length: ${headers['inference-header-content-length']}\r\nContent-Length: ${body.length}\r\n\r\n`;
      const answer = await exchange(url, Buffer.concat([Buffer.from(text), body]));
      const [head, ...rest] = answer.split('\r\n\r\n');
      const found = /content-encoding: (\w+)/i.exec(head!)?.[1];
      const bytes = Buffer.from(rest.join('\r\n\r\n'), 'latin1');
      const plain = found === 'gzip' ? gunzipSync(bytes) : found === 'deflate' ? inflateSync(bytes) : bytes;
      const length = Number(/inference-header-content-length: (\d+)/i.exec(head!)![1]);
      assert.deepEqual(plain.subarray(length), floats(1, 2));
      return found;
    };
    assert.equal(await encodingOf('gzip, deflate, br'), 'gzip');
    assert.equal(await encodingOf('gzip;q=0.5, deflate'), 'deflate');
    assert.equal(await encodingOf('gzip;q=0'), undefined);
    assert.equal(await encodingOf('br, zstd'), undefined);
    assert.equal(await encodingOf('identity, gzip;q=0.5'), undefined);
    assert.equal(await encodingOf('*'), 'gzip');
    for (const path of ['/v2/models/echo', '/v2/models/nothing', '/metrics']) {
      const { headers: found } = await ask(url + path, {
        headers: { 'accept-encoding': 'gzip, deflate, br' },
      });
      assert.equal(found.get('content-encoding'), null, path);
    }
  });

  it('says what a model says, with the status that is meant; what may name files stays in the log', async () => {
    const echo = echoModel();
    const { url, log } = await startServer({ echo });
    for (const [code, status, text] of [
      ['SERVER_INPUT', 400, /^what is wrong$/],
      ['SERVER_BUSY', 503, /^what is wrong$/],
      ['SERVER_TIMEOUT', 504, /^what is wrong$/],
      ['SERVER_WORKER_LOST', 500, /ask again/],
      ['RUNTIME_RUN', 500, /does not run on these inputs; the server's log says why: request [\da-f-]{36}$/],
      ['OUTPUT_FAILED', 500, /^internal error/],
    ] as const) {
      echo.next.push(
        failing(code, code.startsWith('SERVER') ? 'what is wrong' : 'in /srv/secret/model.onnx'),
      );
      const answer = await ask(`${url}/v2/models/echo/infer`, { body: REQUEST });
      assert.equal(answer.status, status, code);
      assert.deepEqual(Object.keys(answer.json), ['error']);
      assert.match(answer.json.error, text);
      assert.doesNotMatch(String(answer.bytes), /secret|at .*\.js/);
      assert.equal(answer.headers.get('content-type'), 'application/json');
    }
    assert.ok(log.some(({ err }) => /secret/.test((err as Error | undefined)?.message ?? '')));
  });

  it('a full queue says when to come again', async () => {
    const echo = echoModel();
    const { url } = await startServer({ echo });
    echo.next.push(failing('SERVER_BUSY', 'full'));
    const { headers } = await ask(`${url}/v2/models/echo/infer`, { body: REQUEST });
    assert.equal(headers.get('retry-after'), '1');
  });

  it('a request’s timeout is handed on in milliseconds, the server’s where that is shorter', async () => {
    const echo = echoModel();
    const { url } = await startServer({ echo }, { timeout: 5000 });
    for (const [asked, expected] of [
      [250_000, 250],
      [60_000_000, 5000],
      [0, 5000],
    ]) {
      await ask(`${url}/v2/models/echo/infer`, { body: { ...REQUEST, parameters: { timeout: asked } } });
      assert.equal(echo.asked.timeout, expected);
    }
  });

  it('a request whose client goes away is cancelled', async () => {
    const echo = echoModel();
    const { url, log } = await startServer({ echo });
    const client = new AbortController();
    let signal: AbortSignal | undefined;
    echo.next.push((options) => {
      signal = options.signal;
      return untilCancelled(() => client.abort())(options);
    });
    await assert.rejects(ask(`${url}/v2/models/echo/infer`, { body: REQUEST, signal: client.signal }));
    await until(() => signal!.aborted);
    await until(() => log.some(({ msg }) => msg === 'the client has gone'));
    const { json } = await ask(`${url}/v2/models/echo/stats`);
    assert.equal(json.model_stats[0].inference_stats.fail.count, 1);
    const metrics = await ask(`${url}/metrics`);
    assert.match(String(metrics.bytes), /request_failure\{model="echo",version="1",reason="CANCELED"\} 1/);
  });

  it('a client that stays is not cancelled once it has its answer', async () => {
    const echo = echoModel();
    const { url } = await startServer({ echo });
    await ask(`${url}/v2/models/echo/infer`, { body: REQUEST });
    const { signal } = echo.asked;
    await stopServers();
    assert.equal(signal!.aborted, false);
  });
});
