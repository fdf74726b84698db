import type { DescribedModel } from '../../../serve/http/openapi/models.js';
import { askFor } from './ask-for.js';

/** What a model did since it was loaded. */
export interface Counts {
  readonly succeeded: number;
  readonly failed: number;
  /** Milliseconds from asking to answering; `null` before the first. */
  readonly mean: number | null;
  /** Requests in the queue now. */
  readonly waiting: number;
}

/** What the server says. */
export interface Served {
  readonly models: readonly DescribedModel[];
  readonly counts: ReadonlyMap<string, Counts>;
}

interface Duration {
  readonly count: number;
  readonly ns: number;
}

/** Asks for the models and what they did. Fails as {@link askFor} does. */
export async function askServer(token: string | undefined): Promise<Served> {
  const get = (path: string) => askFor(path, token);
  // Once before the others, so that a token is asked for once.
  const description = await (await get('openapi.json')).json();
  const [stats, metrics] = await Promise.all([
    get('v2/models/stats').then((reply) => reply.json()),
    get('metrics').then((reply) => reply.text()),
  ]);
  const waiting = new Map(
    [...metrics.matchAll(/^nv_inference_pending_request_count\{model="([^"]+)".*\} (\d+)$/gm)].map(
      (match) => [match[1], Number(match[2])],
    ),
  );
  const counts = new Map<string, Counts>();
  for (const { name, inference_stats } of stats.model_stats) {
    const { success, fail }: { success: Duration; fail: Duration } = inference_stats;
    const mean = success.count === 0 ? null : success.ns / success.count / 1e6;
    counts.set(name, { succeeded: success.count, failed: fail.count, mean, waiting: waiting.get(name) ?? 0 });
  }
  return { models: description['x-ipgraft-models'], counts };
}
