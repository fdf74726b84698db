import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** Headers of answers that a page may read beside those that every page may. */
const EXPOSED = ['Inference-Header-Content-Length', 'Retry-After', 'X-Request-Id'];
/** Seconds for which a browser need not ask again; Chromium remembers no longer. */
const MAX_AGE = 7200;

/**
 * Lets pages of these origins read answers, and answers what browsers ask beforehand (CORS). Its hook must come before the one that asks for
 * tokens: browsers send none when they ask beforehand, and errors are to be read too.
 */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  await app.register(cors, {
    // By function: for other origins, and without one, it then does nothing.
    origin: (origin, done) => done(null, origin !== undefined && origins.includes(origin) ? origin : false),
    methods: ['GET', 'HEAD', 'POST'],
    exposedHeaders: EXPOSED,
    maxAge: MAX_AGE,
    strictPreflight: false,
  });
}
