import { IpgraftError } from '../../compiler/errors.js';

/** The error of a tensor that does not fit: `SERVER_INPUT`, which names the tensor, what was sought and what was found. */
export function unfit(
  tensor: string,
  sought: string,
  found: string | number,
  kind: 'input' | 'output' = 'input',
): IpgraftError {
  const facts = { tensor, sought, found };
  return new IpgraftError('SERVER_INPUT', `${kind} “${tensor}”: sought ${sought}, found ${found}`, facts);
}
