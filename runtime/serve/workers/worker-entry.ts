import { fileURLToPath } from 'node:url';

/** The program of a worker. The command line as one file has another beside it in this one's place (`runtime/cli/bundle.mjs`). */
export const WORKER_ENTRY = fileURLToPath(new URL('worker-main.js', import.meta.url));
