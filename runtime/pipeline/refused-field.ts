import type * as z from 'zod/mini';
import { IpgraftError } from '../../compiler/errors.js';
import { printable } from '../../compiler/printable.js';

type Issue = z.core.$ZodIssue;

/**
 * The error for the first thing that is wrong with a request for pictures: `PIPELINE_REQUEST`, with the field, what was sought there and what was
 * found.
 * @param nameOf what the caller calls the field at a path
 */
export function refusedField(
  value: unknown,
  [issue]: readonly Issue[],
  nameOf: (path: readonly PropertyKey[]) => string = (path) => path.join('.'),
): IpgraftError {
  const { path } = issue!;
  const at = path.reduce(
    (from, key) => (from as Record<PropertyKey, unknown> | null | undefined)?.[key],
    value,
  );
  if (issue!.code === 'unrecognized_keys') {
    const field = nameOf([...path, issue!.keys[0]!]);
    return new IpgraftError('PIPELINE_REQUEST', `${printable(field)}: there is no such field`, { field });
  }
  const field = nameOf(path);
  const message = `${field || 'the request'}: sought ${soughtBy(issue!)}, found ${foundBy(issue!, at)}`;
  return new IpgraftError('PIPELINE_REQUEST', message, field === '' ? {} : { field });
}

function soughtBy(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : issue.expected;
    case 'invalid_value':
      return `one of ${issue.values.join(', ')}`;
    case 'too_big':
      return `${issue.maximum}${UNITS[issue.origin] ?? ''} at most`;
    case 'too_small':
      return `${issue.inclusive ? '' : 'more than '}${issue.minimum}${UNITS[issue.origin] ?? ''}${issue.inclusive ? ' at least' : ''}`;
    case 'invalid_union':
      if (issue.message.startsWith('sought ')) return issue.message.slice(7);
      return [...new Set(issue.errors.flat().map(soughtBy))].join(' or ');
    default:
      return 'another value';
  }
}

const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' entries' };

function foundBy(issue: Issue, value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string')
    return issue.code === 'too_big' || issue.code === 'too_small'
      ? String(value.length)
      : `“${printable(value)}”`;
  if (Array.isArray(value)) return `${value.length} entries`;
  return typeof value === 'object' ? (value === null ? 'null' : 'an object') : String(value);
}
