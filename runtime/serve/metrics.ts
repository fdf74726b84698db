import type { ResponseCache } from './cache/response-cache.js';
import type { LoadedModel } from './repository/loaded-model.js';
import type { InferenceStatistics, Tally } from './statistics.js';

/** A metric of each model: Triton's name for it, so that dashboards made for Triton show it. */
interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  /** Its values, each with what distinguishes it beside model and version. */
  readonly of: (
    loaded: LoadedModel,
  ) => readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
}

function counter(name: string, help: string, value: (statistics: InferenceStatistics) => number): Metric {
  return { name, type: 'counter', help, of: ({ statistics }) => [[{}, value(statistics)]] };
}

function microseconds({ ns }: Tally): number {
  return Math.round(ns / 1000);
}

const METRICS: readonly Metric[] = [
  counter(
    'nv_inference_request_success',
    'Number of successful inference requests',
    ({ success }) => success.count,
  ),
  {
    name: 'nv_inference_request_failure',
    type: 'counter',
    help: 'Number of failed inference requests, by reason',
    of: ({ statistics }) => Object.entries(statistics.failures).map(([reason, count]) => [{ reason }, count]),
  },
  counter(
    'nv_inference_count',
    'Number of inferences performed, without cached requests',
    (each) => each.executions,
  ),
  counter(
    'nv_inference_exec_count',
    'Number of model executions performed, without cached requests',
    (each) => each.executions,
  ),
  counter(
    'nv_inference_request_duration_us',
    'Cumulative time of successful requests in microseconds',
    ({ success }) => microseconds(success),
  ),
  counter('nv_inference_queue_duration_us', 'Cumulative time in the queue in microseconds', ({ queue }) =>
    microseconds(queue),
  ),
  counter(
    'nv_inference_compute_input_duration_us',
    'Cumulative time of preparing inputs in microseconds',
    (each) => microseconds(each.computeInput),
  ),
  counter(
    'nv_inference_compute_infer_duration_us',
    'Cumulative time of running the model in microseconds',
    (each) => microseconds(each.computeInfer),
  ),
  counter(
    'nv_inference_compute_output_duration_us',
    'Cumulative time of reading outputs in microseconds',
    (each) => microseconds(each.computeOutput),
  ),
  counter(
    'nv_cache_num_hits_per_model',
    'Number of response cache hits per model',
    (each) => each.cacheHit.count,
  ),
  counter(
    'nv_cache_num_misses_per_model',
    'Number of response cache misses per model',
    (each) => each.cacheMiss.count,
  ),
  counter(
    'nv_cache_hit_duration_per_model',
    'Cumulative time of looking up cached responses in microseconds',
    (each) => microseconds(each.cacheHit),
  ),
  counter(
    'nv_cache_miss_duration_per_model',
    'Cumulative time of looking up and keeping responses that were not cached in microseconds',
    (each) => microseconds(each.cacheMiss),
  ),
  {
    name: 'nv_inference_pending_request_count',
    type: 'gauge',
    help: 'Number of requests that wait in the queue',
    of: ({ model }) => [[{}, model.load.waiting]],
  },
  {
    name: 'nv_model_load_duration_secs',
    type: 'gauge',
    help: 'Time that loading the model took in seconds',
    of: ({ loadSeconds }) => [[{}, loadSeconds]],
  },
];

/** A gauge of the cache, which all models share. Triton has none: their names are ours. */
const CACHE_METRICS: readonly (readonly [
  name: string,
  help: string,
  of: (cache: ResponseCache) => number,
])[] = [
  ['ipgraft_cache_bytes', 'Memory that cached responses take in bytes', ({ bytes }) => bytes],
  ['ipgraft_cache_limit_bytes', 'Memory that cached responses may take in bytes', ({ limit }) => limit],
  ['ipgraft_cache_entries', 'Number of cached responses', ({ size }) => size],
];

/** All metrics in Prometheus' text format (version 0.0.4). */
export function metricsText(models: readonly LoadedModel[], cache?: ResponseCache): string {
  const ofModels = METRICS.map(({ name, type, help, of }) => {
    const lines = models.flatMap((loaded) =>
      of(loaded).map(([labels, value]) => {
        // Names of models and reasons hold nothing that a label would have to escape.
        const all = Object.entries({ model: loaded.name, version: loaded.version, ...labels });
        return `${name}{${all.map(([label, text]) => `${label}="${text}"`).join()}} ${value}\n`;
      }),
    );
    return head(name, type, help) + lines.join('');
  });
  const ofCache =
    cache === undefined
      ? []
      : CACHE_METRICS.map(([name, help, of]) => `${head(name, 'gauge', help)}${name} ${of(cache)}\n`);
  return [...ofModels, ...ofCache].join('');
}

function head(name: string, type: Metric['type'], help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}
