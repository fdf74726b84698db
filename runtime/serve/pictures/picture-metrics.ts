import type { Histogram } from './histogram.js';
import type { PictureStatistics } from './picture-statistics.js';
import type { ServedPipeline } from './served-pipeline.js';

const HISTOGRAMS: readonly (readonly [
  name: string,
  help: string,
  of: (each: PictureStatistics) => Histogram,
])[] = [
  [
    'ipgraft_picture_seconds',
    'Time of requests for pictures from their turn to their pictures',
    (each) => each.painting,
  ],
  ['ipgraft_picture_queue_seconds', 'Time of requests for pictures in the queue', (each) => each.queueing],
  ['ipgraft_step_seconds', 'Time of a denoising step', (each) => each.steps],
];

/** The metrics of pipelines in Prometheus' text format. Names and units are ours: Triton has none. */
export function pictureMetricsText(pipelines: readonly ServedPipeline[]): string {
  if (pipelines.length === 0) return '';
  const metric = (name: string, type: string, help: string, lines: (each: ServedPipeline) => string) =>
    `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${pipelines.map(lines).join('')}`;
  // Names hold nothing that a label would have to escape.
  const label = ({ name }: ServedPipeline) => `model="${name}"`;
  const number = (name: string, type: string, help: string, value: (each: ServedPipeline) => number) =>
    metric(name, type, help, (each) => `${name}{${label(each)}} ${value(each)}\n`);
  return [
    number(
      'ipgraft_pictures_total',
      'counter',
      'Pictures that were made',
      (each) => each.statistics.pictures,
    ),
    metric('ipgraft_picture_requests_total', 'counter', 'Requests for pictures, by how they ended', (each) =>
      Object.entries(each.statistics.requests)
        .map(
          ([outcome, count]) =>
            `ipgraft_picture_requests_total{${label(each)},outcome="${outcome}"} ${count}\n`,
        )
        .join(''),
    ),
    number(
      'ipgraft_picture_queue_depth',
      'gauge',
      'Requests for pictures that wait',
      (each) => each.load.waiting,
    ),
    number(
      'ipgraft_pictures_running',
      'gauge',
      'Requests for pictures that run',
      (each) => each.load.running,
    ),
    ...HISTOGRAMS.map(([name, help, of]) =>
      metric(name, 'histogram', help, (each) => of(each.statistics).lines(name, label(each))),
    ),
  ].join('');
}
