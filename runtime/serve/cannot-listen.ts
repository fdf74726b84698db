import { IpgraftError } from '../../compiler/errors.js';

/** The error of a server that cannot listen where it was told to: `SERVER_LISTEN`. */
export function cannotListen(host: string, port: number, cause: unknown): IpgraftError {
  return new IpgraftError('SERVER_LISTEN', `cannot listen on ${host}, port ${port}`, {}, { cause });
}
