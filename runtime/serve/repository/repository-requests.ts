import { IpgraftError } from '../../../compiler/errors.js';
import { refusal } from '../protocol/refuse.js';
import type { RequestLog } from '../request-log.js';
import type { Service } from '../service.js';
import type { IndexEntry } from './model-repository.js';

/** The rows of the repository's index, or those of models that answer. */
export async function repositoryIndex({ repository }: Service, readyAlone: boolean): Promise<IndexEntry[]> {
  const index = await repository.index();
  return readyAlone ? index.filter(({ state }) => state === 'READY') : index;
}

/** A request to load a model. */
export interface LoadRequest {
  readonly name: string;
  /** How many parameters came with it. */
  readonly parameters: number;
  /** The request's own. */
  readonly id: string;
  readonly log: RequestLog;
}

/**
 * Loads a model because a request says so. What is wrong with its file is for the log: it may name paths of this machine.
 * @throws IpgraftError `SERVER_FORBIDDEN`, `SERVER_UNSUPPORTED` for parameters, `SERVER_REQUEST` where the model does not load, and as the
 *   repository does
 */
export async function loadByRequest(
  service: Service,
  { name, parameters, id, log }: LoadRequest,
): Promise<void> {
  refuseUnlessExplicit(service);
  // Files that come with a request are how others were made to write where they should not (CVE-2023-31036).
  if (parameters > 0)
    throw new IpgraftError(
      'SERVER_UNSUPPORTED',
      'models are loaded as they lie in the repository: sought no parameters',
    );
  try {
    await service.repository.load(name);
  } catch (error) {
    if (error instanceof IpgraftError && error.code.startsWith('SERVER_')) throw error;
    log.error({ err: error }, 'a model cannot be loaded');
    throw refusal(`failed to load “${name}”; the server's log says why: request ${id}`);
  }
}

/**
 * Unloads a model because a request says so, and with `dependents` the models of an ensemble.
 * @throws IpgraftError `SERVER_FORBIDDEN`, and as the repository does
 */
export async function unloadByRequest(service: Service, name: string, dependents: boolean): Promise<void> {
  refuseUnlessExplicit(service);
  await service.repository.unload(name, dependents);
}

function refuseUnlessExplicit({ modelControl }: Service): void {
  if (modelControl !== 'explicit')
    throw new IpgraftError(
      'SERVER_FORBIDDEN',
      'models are loaded and unloaded by requests only where the server was started with --model-control explicit',
    );
}
