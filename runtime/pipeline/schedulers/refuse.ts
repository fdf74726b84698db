import { IpgraftError } from '../../../compiler/errors.js';

/**
 * The error for a value that a scheduler does not take: it names the key and the value.
 * @param scheduler a name of a scheduler, or what else was read
 */
export function refused(scheduler: string, key: string, value: unknown, why: string): IpgraftError {
  const shown = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const short = shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
  return new IpgraftError('OPTION_SCHEDULER', `${scheduler}: ${key} = ${short}: ${why}`, {
    key,
    value: short,
  });
}

/**
 * Checks that a value is one of those that a scheduler knows.
 * @throws IpgraftError `OPTION_SCHEDULER`
 */
export function oneOf<T extends string>(
  scheduler: string,
  key: string,
  value: string,
  known: readonly T[],
): T {
  if ((known as readonly string[]).includes(value)) return value as T;
  throw refused(scheduler, key, value, `it must be one of ${known.join(', ')}.`);
}
