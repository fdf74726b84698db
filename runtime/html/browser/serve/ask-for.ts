/** The server wants a token, or another one. */
export class TokenNeeded extends Error {}

/** An answer that is no success. */
export class Refused extends Error {
  readonly status: number;
  /** The field that is at fault, where the server names one. */
  readonly field: string | undefined;

  constructor(status: number, message: string, field?: string) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

/**
 * Asks the server, with the token where there is one. Addresses are relative, so that the page may lie anywhere behind a proxy. Fails as
 * {@link TokenNeeded} when the token does not do, else as {@link Refused} with what the server said.
 */
export async function askFor(
  path: string,
  token: string | undefined,
  init: RequestInit = {},
): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  const reply = await fetch(path, { cache: 'no-store', ...init, headers });
  if (reply.status === 401) throw new TokenNeeded();
  if (reply.ok) return reply;
  throw refusalIn(reply.status, await reply.text());
}

/** The Open Inference Protocol's errors are a text, OpenAI's an object. */
function refusalIn(status: number, text: string): Refused {
  try {
    const { error } = JSON.parse(text);
    return typeof error === 'string'
      ? new Refused(status, error)
      : new Refused(status, error.message, error.param ?? undefined);
  } catch {
    return new Refused(status, text);
  }
}
