import { IpgraftError } from '../../compiler/errors.js';

/** The value of an option that is a number. @throws IpgraftError `OPTION_INVALID` */
export function numberOf(option: string, text: string): number {
  const number = Number(text);
  if (text.trim() !== '' && Number.isFinite(number)) return number;
  throw new IpgraftError('OPTION_INVALID', `${option} ${text}: sought a number`);
}

/** The value of an option that is a whole number within bounds. @throws IpgraftError `OPTION_INVALID` */
export function wholeNumber(
  option: string,
  text: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  const number = numberOf(option, text);
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new IpgraftError(
    'OPTION_INVALID',
    `${option} ${text}: sought a whole number from ${least} to ${most}`,
  );
}
