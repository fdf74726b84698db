import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { echoModel, untilCancelled } from './echo-model.js';
import { encode } from './grpc-client.js';
import { fp32, grpcClient, startGrpc, stopGrpc } from './grpc-server.js';
import { until } from './processes.js';

/** Between a client and a server: passes bytes on, until it passes none, as a network that is gone. */
class Relay {
  readonly server: Server;
  private readonly sockets = new Set<Socket>();
  /** How many connections the server has closed. */
  closed = 0;

  constructor(target: string) {
    this.server = createServer((near) => {
      const far = connect(Number(new URL(target.replace('grpc:', 'http:')).port), '127.0.0.1');
      near.pipe(far);
      far.pipe(near);
      far.once('end', () => this.closed++).once('close', () => near.destroy());
      for (const socket of [near, far]) this.sockets.add(socket.on('error', () => {}));
    });
  }

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `grpc://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** From now on both sides stay open, and hear nothing of each other. */
  freeze(): void {
    for (const socket of this.sockets) socket.unpipe().resume();
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

/** A message behind its prefix, as it travels. */
function framed(message: object): Buffer {
  const bytes = encode('InferRequest', message);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

describe('gRPC clients that are lost', () => {
  let relay: Relay | undefined;
  let session: ClientHttp2Session | undefined;
  afterEach(async () => {
    session?.destroy();
    relay?.close();
    await stopGrpc();
  });

  /** Opens the stream of infer requests on a connection of its own, to write bytes to. */
  const open = (url: string) => {
    session = connectHttp2(url.replace('grpc:', 'http:'));
    const stream = session.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ModelStreamInfer',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let received = 0;
    stream.on('data', (bytes: Buffer) => {
      received += bytes.length;
    });
    const trailers = once(stream, 'trailers').then(([found]) => [
      Number(found['grpc-status']),
      decodeURIComponent(found['grpc-message'] ?? ''),
    ]);
    return { stream, trailers, received: () => received };
  };

  it('a connection that stands while nobody is there any more is closed, and what runs for it given up', async () => {
    const model = echoModel();
    model.next.push(untilCancelled(), untilCancelled());
    const ping = { every: 200, timeout: 300 };
    const { client, grpcUrl } = await startGrpc({ echo: model }, { ping });
    relay = new Relay(grpcUrl);
    const far = grpcClient(await relay.listen());
    void far.call('ModelInfer', fp32(1));
    far.stream().call.write(fp32(2));
    await until(() => model.load.running === 2);
    await sleep(1000);
    assert.deepEqual([model.load.running, relay.closed], [2, 0], 'who answers pings stays');
    relay.freeze();
    await until(() => model.load.running === 0 && relay?.closed === 1, 5000);
    assert.equal((await client.call('ModelInfer', fp32(3))).code, 0);
  });

  it('a request of a stream that stops in its midst, or drips, ends the stream; silence between requests does not', async () => {
    const { client, grpcUrl } = await startGrpc(undefined, { requestTimeout: 400 });
    const message = framed(fp32(1, 2, 3));
    for (const drip of [false, true]) {
      const { stream, trailers, received } = open(grpcUrl);
      stream.write(message);
      await until(() => received() > 0);
      await sleep(1000);
      assert.ok(!stream.closed);
      const began = performance.now();
      stream.write(message.subarray(0, 3));
      const timer = setInterval(() => drip && stream.write(message.subarray(3, 4)), 100);
      const ended = await trailers;
      clearInterval(timer);
      session?.destroy();
      assert.deepEqual(ended, [status.DEADLINE_EXCEEDED, 'the request did not come in whole within 0.4 s']);
      assert.ok(performance.now() - began < 3000);
    }
    assert.equal((await client.call('ModelInfer', fp32(1))).code, 0);
  });

  it('a request of which half waits because the server answers others first is not late', async () => {
    const model = echoModel();
    for (let i = 0; i < 24; i++) model.next.push(() => sleep(700));
    const { grpcUrl } = await startGrpc({ echo: model }, { requestTimeout: 400 });
    const { stream, trailers } = open(grpcUrl);
    const message = framed(fp32(...new Array(10_000).fill(1)));
    for (let i = 0; i < 60; i++) stream.write(message);
    stream.end();
    assert.equal((await trailers)[0], 0);
    assert.equal(model.load.running, 0);
  });
});
