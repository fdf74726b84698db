import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';

/** The error for a request that breaks the protocol: `SERVER_REQUEST`. */
export function refusal(message: string): IpgraftError {
  return new IpgraftError('SERVER_REQUEST', message);
}

/** A client's text as an answer repeats it: in quotes, {@link printable}. */
export function quoted(text: string): string {
  return `“${printable(text)}”`;
}

/** What JSON a value is, for a refusal. */
export function kindOf(value: unknown): string {
  return value === null
    ? 'null'
    : Array.isArray(value)
      ? 'array'
      : value === undefined
        ? 'nothing'
        : typeof value;
}
