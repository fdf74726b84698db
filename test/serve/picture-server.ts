import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { loadComponent } from '../../runtime/pipeline/load-component.js';
import type { ServedModel } from '../../runtime/serve/backend.js';
import type { PicturesOptions } from '../../runtime/serve/pictures/pictures.js';
import type { ServeRepositoryOptions } from '../../runtime/serve/serve.js';
import { freshFolder } from '../fixtures.js';
import { pictureFolder, type Way } from '../pipeline/painted.js';
import { startServer, type TestServer } from './http-server.js';

/** A folder with pipelines by name, each of them sd15 with these adapters. */
export async function pipelinesFolder(
  pipelines: Readonly<Record<string, readonly [adapters: readonly string[], way?: Way]>>,
): Promise<string> {
  const all = join(freshFolder(), 'pipelines');
  mkdirSync(all);
  for (const [name, [adapters, way]] of Object.entries(pipelines)) {
    const { folder } = await pictureFolder('sd15', adapters, way);
    renameSync(folder, join(all, name));
  }
  return all;
}

/** Holds up the runs of UNets. */
export interface Gate {
  /** How many runs of a UNet have begun. */
  readonly begun: number;
  /** Runs begin, and do not end, until it is opened. */
  close(): void;
  open(): void;
}

/** A server of pipelines whose models run in this process, and what holds them up. */
export async function startPictureServer(
  folder: string,
  { workers = 1, queueSize = 8, ...pictures }: Partial<PicturesOptions> = {},
  options: Partial<ServeRepositoryOptions> = {},
): Promise<TestServer & { readonly gate: Gate }> {
  let begun = 0;
  let opened: Promise<void> | undefined;
  let open = () => {};
  const gate: Gate = {
    get begun() {
      return begun;
    },
    close() {
      opened = new Promise((resolve) => {
        open = resolve;
      });
    },
    open: () => open(),
  };
  const loadModel = async (path: string): Promise<ServedModel> => {
    const component = await loadOnce(path);
    return {
      ...component,
      async infer(inputs, asked = {}) {
        if (path.includes('/unet/')) {
          begun++;
          await Promise.race([opened, givenUp(asked.signal)]);
        }
        return { ...(await component.infer(inputs, asked)), times: NO_TIMES };
      },
      load: { waiting: 0, running: 0 },
      close: async () => {},
    };
  };
  const limits = { pixels: 64 * 64, steps: 20, pictures: 3, prompt: 500 };
  const server = await startServer(
    {},
    { folder, pictures: { workers, queueSize, loadModel, limits, ...pictures }, ...options },
  );
  return { ...server, gate };
}

/** Fails when the signal comes, as runs in other processes do. */
function givenUp(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
}

const loaded = new Map<string, ReturnType<typeof loadComponent>>();

function loadOnce(path: string): ReturnType<typeof loadComponent> {
  const component = loaded.get(path) ?? loadComponent(path, { threads: 1 });
  loaded.set(path, component);
  return component;
}

const NO_TIMES = { queue: 0, computeInput: 0, computeInfer: 0, computeOutput: 0 };
