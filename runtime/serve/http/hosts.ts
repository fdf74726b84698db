import { IpgraftError } from '../../../compiler/errors.js';
import { isLoopback } from '../loopback.js';
import { quoted } from '../protocol/refuse.js';

/** A header Host: a name, or an IPv6 address in brackets, and perhaps a port. */
const HOST = /^(?:\[([\da-f:.]+)\]|([\w.-]*\w)\.?)(?::\d{1,5})?$/i;

/**
 * Refuses requests that came by a name which is neither this machine's own nor one of `allowed`. A web page can let its name lead to 127.0.0.1
 * (DNS rebinding), and the browser takes the server for a part of that page's site then; what it cannot change is the header Host.
 * Requests without it come from no browser.
 * @throws IpgraftError `SERVER_ORIGIN`
 */
export function checkHost(host: string | undefined, allowed: readonly string[]): void {
  if (host === undefined) return;
  const [, address, name] = HOST.exec(host) ?? [];
  const found = (address ?? name)?.toLowerCase();
  if (found !== undefined && (isLoopback(found) || allowed.includes(found))) return;
  throw new IpgraftError(
    'SERVER_ORIGIN',
    `the header Host names ${quoted(host)}: sought ${['localhost', '127.0.0.1', ...allowed].join(', ')}; other names are taken where the server was started with --allow-host NAME`,
  );
}
