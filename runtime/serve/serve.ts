import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { IpgraftError } from '../../compiler/errors.js';
import { ResponseCache } from './cache/response-cache.js';
import type { Service } from './http/routes.js';
import { createHttpServer, type HttpOptions } from './http/server.js';
import { ModelRepository } from './repository/model-repository.js';
import type { StartOptions } from './repository/start-model.js';
import { watchModels } from './repository/watch-models.js';

/** How a repository is served. */
export interface ServeRepositoryOptions extends HttpOptions, Omit<StartOptions, 'cache'> {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** `none`: every model is loaded at the start, and none later. `explicit`: requests load and unload them. */
  readonly modelControl: 'none' | 'explicit';
  /** Milliseconds that a request may take, in the queue included. */
  readonly timeout: number;
  /** Bytes in which answers of models are kept; 0, or nothing, keeps none. */
  readonly cache?: number;
}

/** A server that answers. */
export interface Serving {
  /** Where, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  /** The models that are loaded. */
  readonly models: readonly { readonly name: string; readonly version: string }[];
  /**
   * Ends in order: readiness says no at once, requests are still taken for `announce` milliseconds, those that run may end for up to `grace`
   * more, then the models go.
   */
  stop(announce: number, grace: number): Promise<void>;
}

/**
 * Serves the models of a folder DIR/MODEL/VERSION/model.onnx by the Open Inference Protocol over HTTP.
 * @throws IpgraftError `SERVER_REPOSITORY`, `SERVER_LISTEN`, and as loading a model does
 */
export async function serveRepository(folder: string, options: ServeRepositoryOptions): Promise<Serving> {
  const { host, port, modelControl, timeout } = options;
  const cache = options.cache ? new ResponseCache(options.cache) : undefined;
  const repository = new ModelRepository(folder, {
    ...options,
    cache,
    note: (text) => app.log.warn(text),
  });
  const service: Service = { repository, cache, isDraining: false, modelControl, timeout };
  const app = await createHttpServer(service, options);
  if (modelControl === 'none') await repository.loadAll();
  try {
    await app.listen({ host, port });
  } catch (cause) {
    await repository.close();
    throw new IpgraftError('SERVER_LISTEN', `cannot listen on ${host}, port ${port}`, {}, { cause });
  }
  const unwatch = watchModels(
    () => repository.ready,
    (text) => app.log.warn(text),
  );
  const { address, port: taken, family } = app.server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    models: repository.ready.map(({ name, version }) => ({ name, version })),
    async stop(announce, grace) {
      service.isDraining = true;
      unwatch();
      await sleep(announce);
      await Promise.race([app.close(), sleep(grace, undefined, { ref: false })]);
      await repository.close();
      // Whoever has not got an answer by now gets none.
      app.server.closeAllConnections();
    },
  };
}
