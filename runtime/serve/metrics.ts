import type { LoadedModel } from './repository/model-repository.js';
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
  counter('nv_inference_count', 'Number of inferences performed', ({ success }) => success.count),
  counter('nv_inference_exec_count', 'Number of model executions performed', ({ success }) => success.count),
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

/** All metrics in Prometheus' text format (version 0.0.4). */
export function metricsText(models: readonly LoadedModel[]): string {
  return METRICS.map(({ name, type, help, of }) => {
    const lines = models.flatMap((loaded) =>
      of(loaded).map(([labels, value]) => {
        // Names of models and reasons hold nothing that a label would have to escape.
        const all = Object.entries({ model: loaded.name, version: loaded.version, ...labels });
        return `${name}{${all.map(([label, text]) => `${label}="${text}"`).join()}} ${value}\n`;
      }),
    );
    return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
  }).join('');
}
