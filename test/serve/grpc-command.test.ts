import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { ipgraft, MAIN } from '../command.js';
import { freshFolder } from '../fixtures.js';
import { grpcClient, stopGrpc } from './grpc-server.js';
import { until, workersOf } from './processes.js';
import { countingModel } from './small-models.js';

/** A folder with the counting model, as `slow`. */
function repository(): string {
  const folder = freshFolder();
  mkdirSync(join(folder, 'slow', '1'), { recursive: true });
  copyFileSync(countingModel(), join(folder, 'slow', '1', 'model.onnx'));
  return folder;
}

/** Adds 1 to 0, n times, which says how long it runs. */
const counting = (n: number) => ({
  model_name: 'slow',
  inputs: [
    { name: 'n', datatype: 'INT64', shape: [1], contents: { int64_contents: [n] } },
    { name: 'x', datatype: 'FP32', shape: [1], contents: { fp32_contents: [0] } },
  ],
});

describe('ipgraft serve --grpc-port', () => {
  const running: ChildProcess[] = [];
  /** Starts the bundled command line. */
  async function serve(...options: readonly string[]) {
    const child = spawn(process.execPath, [MAIN, 'serve', repository(), '--port', '0', '--json', ...options]);
    running.push(child);
    const [line] = await once(createInterface(child.stdout), 'line');
    const report = JSON.parse(line as string) as { url: string; grpcUrl?: string };
    return { child, ...report };
  }
  afterEach(async () => {
    for (const child of running.splice(0)) child.kill('SIGKILL');
    await stopGrpc();
  });

  it('a real model, a deadline that frees its worker, and an end in order', async () => {
    const { child, grpcUrl } = await serve('--grpc-port', '0', '--drain', '3000');
    assert.match(grpcUrl!, /^grpc:\/\/127\.0\.0\.1:\d+$/);
    const client = grpcClient(grpcUrl!);
    const late = await client.call('ModelInfer', counting(1e12), { deadline: 500 });
    assert.equal(late.code, 4);
    // The worker was ended in its run: another answers.
    const { answer } = await client.call('ModelInfer', counting(5));
    assert.equal(answer.raw_output_contents[0].readFloatLE(), 5);
    const last = client.call('ModelInfer', counting(500_000));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual((await client.call('ServerReady')).answer, { ready: false });
    assert.equal((await last).code, 0);
    assert.deepEqual(await ended, [0, null]);
  });

  it('a second signal ends it at once', async () => {
    const { child, grpcUrl } = await serve('--grpc-port', '0');
    const answer = grpcClient(grpcUrl!).call('ModelInfer', counting(1e12));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [143, null]);
    assert.equal((await answer).code, 14);
  });

  it('a port that is taken is told, and nothing stays', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const { code, stderr } = await ipgraft('serve', repository(), '--port', '0', '--grpc-port', String(port));
    other.close();
    assert.equal(code, 7);
    assert.match(stderr, new RegExp(`SERVER_LISTEN: cannot listen on 127\\.0\\.0\\.1, port ${port}`));
    await until(() => workersOf().length === 0);
    const wrong = await ipgraft('serve', repository(), '--grpc-port', '70000');
    assert.match(wrong.stderr, /--grpc-port 70000: sought a whole number from 0 to 65535/);
  });

  it('without it neither grpc-js nor the whole of protobufjs is loaded', () => {
    const module = pathToFileURL(join(process.cwd(), 'dist/runtime/serve/serve.js')).href;
    const script = `import { createRequire } from 'node:module'; await import(${JSON.stringify(module)});
      console.log(JSON.stringify(Object.keys(createRequire(import.meta.url).cache)));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    const loaded: string[] = JSON.parse(stdout);
    assert.ok(loaded.some((path) => /node_modules\/fastify/.test(path)));
    assert.deepEqual(
      loaded.filter((path) => /grpc-js|protobufjs\/(index|src\/parse)\.js/.test(path)),
      [],
    );
  });
});
