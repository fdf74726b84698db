import picomatch from 'picomatch';
import { IpgraftError } from '../compiler/errors.js';

/** Every second attention of every transformer block: diffusers' name for the cross-attentions. */
const DEFAULT_PATTERN = '**.attn2';

/**
 * What the user says about scopes, as a test: a glob whose segments are separated by dots (`*` within one, `**` across),
 * or `/a regular expression/`. Several patterns: one match is enough.
 * @throws IpgraftError `OPTION_INVALID` for a regular expression that is none
 */
export function scopeMatcher(patterns: readonly string[]): (scope: string) => boolean {
  const tests = (patterns.length === 0 ? [DEFAULT_PATTERN] : patterns).map(matcher);
  return (scope) => tests.some((test) => test(scope));
}

function matcher(pattern: string): (scope: string) => boolean {
  if (pattern.length > 2 && pattern.startsWith('/') && pattern.endsWith('/')) {
    try {
      const expression = new RegExp(pattern.slice(1, -1));
      return (scope) => expression.test(scope);
    } catch (cause) {
      throw new IpgraftError(
        'OPTION_INVALID',
        `--pattern ${pattern} is not a regular expression: ${(cause as Error).message}`,
        {
          pattern,
        },
      );
    }
  }
  if (pattern === '') throw new IpgraftError('OPTION_INVALID', '--pattern is empty', {});
  // picomatch's separator is the slash.
  const glob = picomatch(pattern.replaceAll('.', '/'));
  return (scope) => glob(scope.replaceAll('.', '/'));
}
