import { IpgraftError } from '../../../compiler/errors.js';
import { printable, visible } from '../../../compiler/printable.js';

/** The error of a configuration: `SERVER_CONFIG`, which names the model and says what was sought and what was found. */
export function configFault(model: string, message: string, cause?: unknown): IpgraftError {
  return new IpgraftError(
    'SERVER_CONFIG',
    `config.pbtxt of model “${printable(model)}”: ${visible(message)}`,
    {},
    { cause },
  );
}
