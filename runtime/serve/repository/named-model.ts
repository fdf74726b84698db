import { quoted, refusal } from '../protocol/refuse.js';
import { isModelName } from './model-files.js';

/** A model as a request names it. */
export interface NamedModel {
  readonly name: string;
  /** Absent for the one that is served. */
  readonly version?: string;
}

/**
 * The model that a request names, and its version where it names one.
 * @throws IpgraftError `SERVER_REQUEST`
 */
export function namedModel(name: string, version: string | undefined): NamedModel {
  if (!isModelName(name))
    throw refusal(
      `${quoted(name)} is no model's name: sought letters, digits, '_', '.' and '-', 128 at most`,
    );
  if (version === undefined) return { name };
  if (/^\d{1,18}$/.test(version)) return { name, version };
  throw refusal(`${quoted(version)} is no version: sought digits`);
}
