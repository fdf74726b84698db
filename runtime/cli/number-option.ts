import { IpgraftError } from '../../compiler/errors.js';

/** The value of an option that is a number. @throws IpgraftError `OPTION_INVALID` */
export function numberOf(option: string, text: string): number {
  const number = Number(text);
  if (text.trim() !== '' && Number.isFinite(number)) return number;
  throw new IpgraftError('OPTION_INVALID', `${option} ${text}: sought a number`);
}
