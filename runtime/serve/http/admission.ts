import type { FastifyRequest } from 'fastify';
import { admitClient, type ClientAdmission } from '../access.js';
import { checkHost } from './hosts.js';
import { checkOrigin } from './origins.js';

/** Who is let in. */
export interface Admission extends ClientAdmission {
  /** Names beside this machine's own by which requests may come; where absent, any. */
  readonly hosts?: readonly string[];
  /** Origins whose pages may ask, and read answers. */
  readonly origins?: readonly string[];
}

/**
 * Refuses a request before its body is read. Asked of the route that was found, not of the path: however a path is spelt, what it leads to is
 * guarded.
 * @throws IpgraftError `SERVER_ORIGIN`, `SERVER_UNAUTHORIZED`, `SERVER_FORBIDDEN`, `SERVER_RATE_LIMIT`
 */
export function admit(request: FastifyRequest, admission: Admission): void {
  const { hosts, origins = [] } = admission;
  const { access = 'token', quiet = false } = request.routeOptions.config;
  const { host, authorization } = request.headers;
  if (hosts !== undefined) checkHost(host, hosts);
  checkOrigin(request.method, request.headers, origins);
  admitClient({ access, authorization, address: request.ip, isCounted: !quiet }, admission);
}
