import { IpgraftError } from '../../compiler/errors.js';
import type { ResponseCache } from './cache/response-cache.js';
import type { Pictures } from './pictures/pictures.js';
import type { ModelRepository } from './repository/model-repository.js';

/** What requests are answered from, by whatever protocol. */
export interface Service {
  readonly repository: ModelRepository;
  readonly pictures: Pictures;
  /** Where answers are kept, if they are. */
  readonly cache: ResponseCache | undefined;
  /** Set when the server is about to end. */
  isDraining: boolean;
  /** Whether models may be loaded and unloaded. */
  readonly modelControl: 'none' | 'explicit';
  /** Milliseconds that a request may take when it does not ask for less. */
  readonly timeout: number;
}

/** Refuses when no more requests should come. @throws IpgraftError `SERVER_MODEL_NOT_READY` */
export function checkReady({ isDraining }: Service): void {
  if (isDraining) throw new IpgraftError('SERVER_MODEL_NOT_READY', 'the server is stopping');
}
