import type { FastifyRequest } from 'fastify';
import { clientNetwork } from '../client-network.js';
import type { RateLimit } from '../rate-limit.js';
import { authorize, type Tokens } from './access.js';
import { checkHost } from './hosts.js';
import { checkOrigin } from './origins.js';

/** Who is let in. */
export interface Admission extends Tokens {
  /** Names beside this machine's own by which requests may come; where absent, any. */
  readonly hosts?: readonly string[];
  /** Origins whose pages may ask, and read answers. */
  readonly origins?: readonly string[];
  /** How often each client may ask; where absent, always. */
  readonly rateLimit?: RateLimit;
}

/**
 * Refuses a request before its body is read. Asked of the route that was found, not of the path: however a path is spelt, what it leads to is
 * guarded. A client is its token, where it needs one, else its network. Probes and scrapes are not counted; but whoever
 * guesses tokens is.
 * @throws IpgraftError `SERVER_ORIGIN`, `SERVER_UNAUTHORIZED`, `SERVER_FORBIDDEN`, `SERVER_RATE_LIMIT`
 */
export function admit(request: FastifyRequest, admission: Admission): void {
  const { hosts, origins = [], rateLimit } = admission;
  const { access = 'token', quiet } = request.routeOptions.config;
  if (hosts !== undefined) checkHost(request.headers.host, hosts);
  checkOrigin(request.method, request.headers, origins);
  let token: keyof Tokens | undefined;
  try {
    token = authorize(access, request.headers.authorization, admission);
  } catch (error) {
    rateLimit?.admit(clientNetwork(request.ip));
    throw error;
  }
  if (!quiet) rateLimit?.admit(token ?? clientNetwork(request.ip));
}
