import type { Tokens } from '../../access.js';
import type { LoadedModel } from '../../repository/loaded-model.js';
import type { IndexEntry } from '../../repository/model-repository.js';
import type { Route } from '../routes.js';

/** What the document is about: what this server does with these models. */
export interface Described extends Tokens {
  readonly routes: readonly Route[];
  readonly index: readonly IndexEntry[];
  readonly loaded: readonly LoadedModel[];
  readonly isLimited: boolean;
}
