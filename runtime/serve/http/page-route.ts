import type { FastifyInstance } from 'fastify';
import { servePage } from '../../html/serve-page.js';
import { route } from './routes.js';

/** The page for people. It is the same for everybody and names no model: its script asks for them, with the token where one is needed. */
export function addPageRoute(app: FastifyInstance): void {
  const { text, policy } = servePage();
  const body = Buffer.from(text);
  route(
    app,
    'GET',
    '/',
    (_, reply) =>
      reply
        .headers({
          'content-type': 'text/html; charset=utf-8',
          // The page's own has all but this, which only a header can say.
          'content-security-policy': `${policy}; frame-ancestors 'none'`,
          'x-content-type-options': 'nosniff',
          'x-frame-options': 'DENY',
          'referrer-policy': 'no-referrer',
          'cross-origin-resource-policy': 'same-origin',
          'cache-control': 'no-cache',
        })
        .send(body),
    { access: 'open', operation: 'page' },
  );
}
