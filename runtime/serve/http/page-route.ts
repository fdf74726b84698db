import type { FastifyInstance } from 'fastify';
import { picturesPage } from '../../html/pictures-page.js';
import type { PolicedPage } from '../../html/serve-frame.js';
import { servePage } from '../../html/serve-page.js';
import { route } from './routes.js';

/**
 * The pages for people, of pictures where a pipeline is served, and of models. They are the same for everybody and name no model: their scripts ask
 * for them, with the token where one is needed.
 */
export function addPageRoutes(app: FastifyInstance, hasPictures: boolean): void {
  const models = servePage(hasPictures);
  const pages = { '/': hasPictures ? picturesPage() : models, '/models': models };
  for (const [url, page] of Object.entries(pages)) addPage(app, url, page);
}

function addPage(app: FastifyInstance, url: string, { text, policy }: PolicedPage): void {
  const body = Buffer.from(text);
  route(
    app,
    'GET',
    url,
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
