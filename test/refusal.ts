import { type ErrorCode, IpgraftError } from '../compiler/errors.js';

/** For `assert.throws` and `assert.rejects`: an error of ours with one of these codes, which says what to do. */
export function refusal(...codes: readonly ErrorCode[]): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof IpgraftError && codes.includes(error.code) && error.hint !== '') return true;
    throw error;
  };
}
