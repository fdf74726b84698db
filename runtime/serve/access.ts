import { createHash, timingSafeEqual } from 'node:crypto';
import { IpgraftError } from '../../compiler/errors.js';
import { clientNetwork } from './client-network.js';
import type { RateLimit } from './rate-limit.js';

/** Who may use a route: everybody, whoever has a token where there is one, or whoever has the admin token. */
export type Access = 'open' | 'token' | 'admin';

/** The tokens that the server knows. */
export interface Tokens {
  readonly token?: string;
  /** Opens everything. Where there is none, so does `token`. */
  readonly adminToken?: string;
}

/** Who is let in, by whatever protocol, and how often. */
export interface ClientAdmission extends Tokens {
  /** How often each client may ask; where absent, always. */
  readonly rateLimit?: RateLimit;
}

/** What is known of a request before its body is read. */
export interface Caller {
  /** What the request wants to use. */
  readonly access: Access;
  /** Its header or metadata `Authorization`. */
  readonly authorization: string | undefined;
  /** Where it comes from, as Node gives it for a socket. */
  readonly address: string;
  /** Whether it counts: probes and scrapes do not. */
  readonly isCounted: boolean;
}

/**
 * Refuses a request that its token does not open, or that comes too soon. A client is its token, where it needs one, else its network; whoever
 * guesses tokens is counted, whatever they ask.
 * @throws IpgraftError `SERVER_UNAUTHORIZED`, `SERVER_FORBIDDEN`, `SERVER_RATE_LIMIT`
 */
export function admitClient(
  { access, authorization, address, isCounted }: Caller,
  admission: ClientAdmission,
): void {
  const { rateLimit } = admission;
  let token: keyof Tokens | undefined;
  try {
    token = authorize(access, authorization, admission);
  } catch (error) {
    rateLimit?.admit(clientNetwork(address));
    throw error;
  }
  if (isCounted) rateLimit?.admit(token ?? clientNetwork(address));
}

/**
 * Refuses a request whose `Authorization` header does not open a route, and answers with the token that opened it, where one had to. How long
 * that takes says nothing of the tokens.
 * @throws IpgraftError `SERVER_UNAUTHORIZED`, `SERVER_FORBIDDEN`
 */
function authorize(
  access: Access,
  authorization: string | undefined,
  tokens: Tokens,
): keyof Tokens | undefined {
  const { token, adminToken } = tokens;
  const isAdminOnly = access === 'admin' && adminToken !== undefined;
  if (access === 'open' || (token === undefined && !isAdminOnly)) return undefined;
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  const isAdmin = given !== undefined && isSame(given, adminToken);
  const isUser = given !== undefined && isSame(given, token);
  if (isAdmin) return 'adminToken';
  if (isUser && !isAdminOnly) return 'token';
  if (isUser) throw new IpgraftError('SERVER_FORBIDDEN', 'this needs the admin token');
  throw new IpgraftError(
    'SERVER_UNAUTHORIZED',
    authorization === undefined
      ? `sought the header Authorization: Bearer ${isAdminOnly ? 'ADMIN_TOKEN' : 'TOKEN'}, found none`
      : 'the token in the header Authorization is not the one that this server knows',
  );
}

/** Digests have one length, which comparing in constant time asks for. */
function isSame(given: string, known: string | undefined): boolean {
  if (known === undefined) return false;
  return timingSafeEqual(digest(given), digest(known));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
