import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import type { ServedModel } from '../../runtime/serve/backend.js';
import { type ServeRepositoryOptions, type Serving, serveRepository } from '../../runtime/serve/serve.js';
import { freshFolder } from '../fixtures.js';
import { echoModel } from './echo-model.js';

/** A repository of empty files, `name/version` each: for models that are not read. */
export function emptyRepository(...models: readonly string[]): string {
  const folder = freshFolder();
  for (const model of models) {
    const path = join(folder, model, 'model.onnx');
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
  }
  return folder;
}

/** A server and what it logged. */
export interface TestServer extends Serving {
  readonly log: readonly Record<string, unknown>[];
}

const started = new Set<Serving>();

/** Serves models by name, each as version 1. Tests end it with {@link stopServers}. */
export async function startServer(
  models: Readonly<Record<string, ServedModel>> = { echo: echoModel() },
  options: Partial<ServeRepositoryOptions> & { readonly folder?: string } = {},
): Promise<TestServer> {
  const log: Record<string, unknown>[] = [];
  const folder = options.folder ?? emptyRepository(...Object.keys(models).map((name) => `${name}/1`));
  const serving = await serveRepository(folder, {
    host: '127.0.0.1',
    port: 0,
    modelControl: 'none',
    maxBody: 1024 * 1024,
    timeout: 10_000,
    loadModel: async (path) => models[path.split('/').at(-3)!]!,
    log: new Writable({
      write(chunk, _, done) {
        for (const line of String(chunk).trim().split('\n')) log.push(JSON.parse(line));
        done();
      },
    }),
    ...options,
  });
  started.add(serving);
  return { ...serving, log };
}

/** Ends what {@link startServer} began. */
export async function stopServers(): Promise<void> {
  await Promise.all([...started].map((serving) => serving.stop(0, 0)));
  started.clear();
}

/** An answer, its body both ways. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: what a server says is for the test to check
  readonly json: any;
}

/** Asks once. A body that is an object goes as JSON. */
export async function ask(
  url: string,
  init: Omit<RequestInit, 'body'> & { body?: unknown } = {},
): Promise<Answer> {
  const { body, ...rest } = init;
  const isRaw = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    ...rest,
    ...(body !== undefined && { body: (isRaw ? body : JSON.stringify(body)) as string }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const isJson = bytes.length > 0 && response.headers.get('content-type') === 'application/json';
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    json: isJson ? JSON.parse(String(bytes)) : undefined,
  };
}

/** Sends bytes as they are, and answers with all that comes until the server closes, or until `enough` is in it. */
export function exchange(url: string, bytes: string | Buffer, enough?: RegExp): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (enough?.test(received)) socket.destroy();
    });
    socket.on('close', () => resolve(received));
    // A server that has said no need not read the rest.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    socket.write(bytes);
  });
}
