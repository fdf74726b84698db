import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ResponseCache } from './cache/response-cache.js';
import { cannotListen } from './cannot-listen.js';
import type { Pings } from './grpc/server.js';
import { ANSWER_TIMEOUT, createHttpServer, type HttpOptions, REQUEST_TIMEOUT } from './http/server.js';
import { Pictures, type PicturesOptions } from './pictures/pictures.js';
import { ModelRepository } from './repository/model-repository.js';
import type { StartOptions } from './repository/start-model.js';
import { watchModels } from './repository/watch-models.js';
import type { Service } from './service.js';

/** Milliseconds for the answers to what is given up at the end. */
const LAST_WORDS = 1000;

const NO_PICTURES = new Pictures([], { pixels: 0, steps: 0, pictures: 0, prompt: 0 });

/** How a repository is served. */
export interface ServeRepositoryOptions extends HttpOptions, Omit<StartOptions, 'cache'> {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** Where gRPC is spoken too; 0 for any that is free. */
  readonly grpcPort?: number;
  /** Of gRPC's connections: every 60 seconds, 20 for an answer, unless told otherwise. */
  readonly ping?: Pings;
  /** `none`: every model is loaded at the start, and none later. `explicit`: requests load and unload them. */
  readonly modelControl: 'none' | 'explicit';
  /** Milliseconds that a request may take, in the queue included. */
  readonly timeout: number;
  /** Bytes in which answers of models are kept; 0, or nothing, keeps none. */
  readonly cache?: number;
  /** How the pipelines of the folder are served; without it none is. */
  readonly pictures?: PicturesOptions;
}

/** A server that answers. */
export interface Serving {
  /** Where, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** Where it speaks gRPC, such as `grpc://127.0.0.1:8001`; absent where it does not. */
  readonly grpcUrl?: string;
  /** The models that are loaded. */
  readonly models: readonly { readonly name: string; readonly version: string }[];
  /** The pipelines, by name. */
  readonly pipelines: readonly string[];
  /**
   * Ends in order: readiness says no at once, requests are still taken for `announce` milliseconds, those that run may end for up to `grace`
   * more, then the models go.
   */
  stop(announce: number, grace: number): Promise<void>;
}

/**
 * Serves the models of a folder DIR/MODEL/VERSION/model.onnx by the Open Inference Protocol over HTTP, and over gRPC where that has a port.
 * @throws IpgraftError `SERVER_REPOSITORY`, `SERVER_LISTEN`, and as loading a model does
 */
export async function serveRepository(folder: string, options: ServeRepositoryOptions): Promise<Serving> {
  const { host, port, grpcPort, modelControl, timeout } = options;
  const cache = options.cache ? new ResponseCache(options.cache) : undefined;
  const repository = new ModelRepository(folder, {
    ...options,
    cache,
    note: (text) => app.log.warn(text),
  });
  const pictures =
    options.pictures === undefined
      ? NO_PICTURES
      : await Pictures.start(folder, { ...options.pictures, timeout });
  const service: Service = { repository, pictures, cache, isDraining: false, modelControl, timeout };
  const app = await createHttpServer(service, options);
  try {
    if (modelControl === 'none') await repository.loadAll(pictures.pipelines.length > 0);
  } catch (error) {
    await pictures.close();
    throw error;
  }
  let grpc: Awaited<ReturnType<typeof startGrpc>> | undefined;
  try {
    await app.listen({ host, port }).catch((cause) => {
      throw cannotListen(host, port, cause);
    });
    if (grpcPort !== undefined) grpc = await startGrpc(grpcPort);
  } catch (error) {
    await Promise.all([app.close(), repository.close(), pictures.close()]);
    throw error;
  }
  const unwatch = watchModels(
    () => [...repository.ready, ...pictures.pipelines.flatMap(({ models }) => models)],
    (text) => app.log.warn(text),
  );
  const { address, port: taken, family } = app.server.address() as AddressInfo;
  const name = family === 'IPv6' ? `[${address}]` : address;
  return {
    url: `http://${name}:${taken}`,
    ...(grpc !== undefined && { grpcUrl: `grpc://${name}:${grpc.port}` }),
    models: repository.ready.map(({ name, version }) => ({ name, version })),
    pipelines: pictures.pipelines.map(({ name }) => name),
    async stop(announce, grace) {
      service.isDraining = true;
      unwatch();
      grpc?.announce();
      await sleep(announce);
      const ended = Promise.all([app.close(), grpc?.close()]);
      await Promise.race([ended, sleep(grace, undefined, { ref: false })]);
      await Promise.all([repository.close(), pictures.close()]);
      // What was given up just now is told so.
      await Promise.race([ended, sleep(LAST_WORDS, undefined, { ref: false })]);
      // Whoever has not got an answer by now gets none.
      app.server.closeAllConnections();
      grpc?.end();
    },
  };

  async function startGrpc(port: number) {
    // grpc-js and the whole of protobufjs: no start without gRPC waits for them.
    const { startGrpcServer } = await import('./grpc/server.js');
    const { maxBody, requestTimeout = REQUEST_TIMEOUT, answerTimeout = ANSWER_TIMEOUT } = options;
    return startGrpcServer(service, {
      admission: options,
      host,
      port,
      maxBody,
      log: app.log,
      requestTimeout,
      answerTimeout,
      ...(options.ping && { ping: options.ping }),
    });
  }
}
