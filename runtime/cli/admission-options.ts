import { IpgraftError } from '../../compiler/errors.js';
import type { Tokens } from '../serve/access.js';
import type { Admission } from '../serve/http/admission.js';
import { isLoopback } from '../serve/loopback.js';
import { type Rate, RateLimit } from '../serve/rate-limit.js';

/** The options of `serve` that say who is let in, beside tokens. */
export interface AdmissionFlags {
  readonly host: string;
  readonly token?: string;
  readonly allowHost?: readonly string[];
  readonly allowOrigin?: readonly string[];
  readonly rateLimit?: string;
}

/**
 * Reads the options that say who is let in. Without a token whoever reaches this machine may ask, and so may every web page that makes
 * a browser here take the server for its own: then names are checked, and wherever some are given.
 * @throws IpgraftError `OPTION_INVALID`
 */
export function admissionOf(flags: AdmissionFlags): Omit<Admission, keyof Tokens> {
  const { host, token, allowHost, allowOrigin, rateLimit } = flags;
  const isChecked = allowHost !== undefined || (isLoopback(host) && token === undefined);
  return {
    ...(isChecked && { hosts: (allowHost ?? []).map(hostOf) }),
    ...(allowOrigin !== undefined && { origins: allowOrigin.map(originOf) }),
    ...(rateLimit !== undefined && { rateLimit: new RateLimit(rateOf(rateLimit)) }),
  };
}

function hostOf(text: string): string {
  const [, address, name] = /^(?:\[([\da-f:.]+)\]|([\w.-]*\w))$/i.exec(text) ?? [];
  const host = address ?? name;
  if (host !== undefined) return host.toLowerCase();
  throw new IpgraftError(
    'OPTION_INVALID',
    `--allow-host ${text}: sought a name without scheme and port, such as models.example.org`,
  );
}

function originOf(text: string): string {
  if (URL.canParse(text)) {
    const { origin, protocol } = new URL(text);
    if (/^https?:$/.test(protocol) && text.replace(/\/$/, '').toLowerCase() === origin) return origin;
  }
  throw new IpgraftError(
    'OPTION_INVALID',
    `--allow-origin ${text}: sought scheme, name and port as browsers write them, such as https://example.org or http://localhost:3000`,
  );
}

const MILLISECONDS = { second: 1000, minute: 60_000, hour: 3_600_000 } as const;
const RATE = /^([1-9]\d{0,8})\/(second|minute|hour)$/;

function rateOf(text: string): Rate {
  const [, count, unit] = RATE.exec(text) ?? [];
  if (count !== undefined)
    return { count: Number(count), ms: MILLISECONDS[unit as keyof typeof MILLISECONDS] };
  throw new IpgraftError(
    'OPTION_INVALID',
    `--rate-limit ${text}: sought a number per second, minute or hour, such as 60/minute`,
  );
}
