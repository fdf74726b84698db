import type { IncomingHttpHeaders } from 'node:http';
import { IpgraftError } from '../../../compiler/errors.js';
import { quoted } from '../protocol/refuse.js';

/** What changes nothing. Its answers a browser keeps from other sites by itself. */
const SAFE: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/**
 * Refuses requests that a web page of another origin had a browser make, but for origins in `allowed`. By what browsers say and pages cannot change:
 * `Sec-Fetch-Site`, and where that is not sent, as over plain HTTP to other machines, whether `Origin` is where the request went. Whoever
 * sends neither is no browser. The rules are those of Go's `http.CrossOriginProtection`.
 * @throws IpgraftError `SERVER_ORIGIN`
 */
export function checkOrigin(
  method: string,
  { origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders,
  allowed: readonly string[],
): void {
  if (SAFE.includes(method) || site === 'same-origin' || site === 'none') return;
  if (origin === undefined ? site === undefined : allowed.includes(origin)) return;
  if (site === undefined && /^https?:\/\/(.+)/.exec(origin ?? '')?.[1] === host) return;
  throw new IpgraftError(
    'SERVER_ORIGIN',
    `a web page of another origin asks${origin === undefined ? '' : `: ${quoted(origin)}`}; pages may ask whose origin the server was started with: --allow-origin ORIGIN`,
  );
}
