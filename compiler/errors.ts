import { ADAPTER_ERRORS } from './errors/adapter.js';
import { COMMAND_ERRORS } from './errors/command.js';
import { EDIT_ERRORS } from './errors/edit.js';
import { MATCH_ERRORS } from './errors/match.js';
import { MODEL_ERRORS } from './errors/model.js';
import { PACKAGE_ERRORS } from './errors/package.js';
import { PIPELINE_ERRORS } from './errors/pipeline.js';
import { SERVING_ERRORS } from './errors/serving.js';

/** What an error is about, as plain data: printed under the message and kept in `--json` output. */
export type Facts = Readonly<Record<string, string | number | boolean | null | readonly (string | number)[]>>;

/**
 * Every error there is. The part before the first underscore is the family; it decides the exit code.
 * `docs/errors.md` is generated from this table, so a code cannot be undocumented.
 */
export const CATALOGUE = {
  ...MODEL_ERRORS,
  ...MATCH_ERRORS,
  ...ADAPTER_ERRORS,
  ...EDIT_ERRORS,
  ...COMMAND_ERRORS,
  ...PIPELINE_ERRORS,
  ...SERVING_ERRORS,
  ...PACKAGE_ERRORS,
} as const;

/** What kind of error it is: a code of {@link CATALOGUE}. */
export type ErrorCode = keyof typeof CATALOGUE;

/** Exit code of each family. 1 is kept for failures that are not ours to name. */
export const EXIT_CODES: Readonly<Record<string, number>> = {
  WIRE: 2,
  MODEL: 2,
  ADAPTER: 3,
  MATCH: 4,
  EDIT: 5,
  PASS: 5,
  VERIFY: 6,
  DIFF: 6,
  SERVER: 7,
  OUTPUT: 8,
  OPTION: 9,
  RUNTIME: 10,
  PACKAGE: 11,
  PIPELINE: 12,
};

/**
 * The one error class: a code from {@link CATALOGUE}, a message that says what was sought and what was found,
 * the facts as data, and a hint that says what to do.
 */
export class IpgraftError extends Error {
  override readonly name = 'IpgraftError';
  readonly code: ErrorCode;
  readonly facts: Facts;
  readonly hint: string;

  constructor(
    code: ErrorCode,
    message: string,
    facts: Facts = {},
    options: { hint?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.facts = facts;
    this.hint = options.hint ?? CATALOGUE[code].hint;
  }

  /** `MATCH_COUNT` → 4. */
  get exitCode(): number {
    return EXIT_CODES[this.code.slice(0, this.code.indexOf('_'))] ?? 1;
  }
}
