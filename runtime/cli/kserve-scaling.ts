import { IpgraftError } from '../../compiler/errors.js';
import { METRICS, type Scaling } from '../package/kserve/kserve-service.js';
import { wholeNumber } from './number-option.js';

/** The options of `package kserve` that say how many replicas there are. */
export interface ScalingFlags {
  readonly mode?: Scaling['mode'];
  readonly minReplicas?: string;
  readonly maxReplicas?: string;
  readonly scaleMetric?: keyof typeof METRICS;
  readonly scaleTarget?: string;
  readonly concurrency?: string;
  readonly canary?: string;
}

const MOST = 10_000;

/** Reads how many replicas there are, and the mode of KServe that can do it. @throws IpgraftError `OPTION_INVALID` */
export function scalingOf(flags: ScalingFlags): Scaling {
  const { minReplicas, maxReplicas, scaleMetric: metric, scaleTarget, concurrency, canary } = flags;
  const min = minReplicas === undefined ? undefined : wholeNumber('--min-replicas', minReplicas, 0, MOST);
  const max = maxReplicas === undefined ? undefined : wholeNumber('--max-replicas', maxReplicas, 1, MOST);
  const mode = modeOf(flags, min);
  if (max !== undefined && (min ?? 1) > max)
    throw new IpgraftError(
      'OPTION_INVALID',
      `--max-replicas ${max}: sought ${min ?? 1} or more, as --min-replicas says`,
    );
  if (scaleTarget !== undefined && metric === undefined)
    throw new IpgraftError(
      'OPTION_INVALID',
      `--scale-target ${scaleTarget}: sought --scale-metric beside it`,
    );
  if (metric !== undefined && mode === 'Standard' && max === undefined)
    throw new IpgraftError(
      'OPTION_INVALID',
      `--scale-metric ${metric}: sought --max-replicas beside it`,
      {},
      { hint: 'Without one there are never more replicas than --min-replicas says.' },
    );
  if (metric === 'memory' && scaleTarget === undefined)
    throw new IpgraftError(
      'OPTION_INVALID',
      '--scale-metric memory: sought --scale-target beside it, in percent',
    );
  const mostTarget = mode === 'Standard' ? 100 : 1_000_000;
  return {
    mode,
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(metric !== undefined && { metric }),
    ...(scaleTarget !== undefined && { target: wholeNumber('--scale-target', scaleTarget, 1, mostTarget) }),
    ...(concurrency !== undefined && { concurrency: wholeNumber('--concurrency', concurrency, 1, 1000) }),
    ...(canary !== undefined && { canary: wholeNumber('--canary', canary, 0, 100) }),
  };
}

/** The mode that was asked for, or else the one that the other options need: Standard where both would do, as KServe has it. */
function modeOf(flags: ScalingFlags, min: number | undefined): Scaling['mode'] {
  const { mode, scaleMetric, concurrency, canary } = flags;
  const needs: (readonly [option: string, mode: Scaling['mode']])[] = [
    ...(min === 0 ? [['--min-replicas 0', 'Knative'] as const] : []),
    ...(scaleMetric === undefined ? [] : [[`--scale-metric ${scaleMetric}`, METRICS[scaleMetric]] as const]),
    ...(concurrency === undefined ? [] : [['--concurrency', 'Knative'] as const]),
    ...(canary === undefined ? [] : [['--canary', 'Knative'] as const]),
    ...(mode === undefined ? [] : [[`--mode ${mode}`, mode] as const]),
  ];
  const [first, ...others] = needs;
  const other = others.find((each) => each[1] !== first?.[1]);
  if (first === undefined) return 'Standard';
  if (other === undefined) return first[1];
  throw new IpgraftError(
    'OPTION_INVALID',
    `${first[0]} is for KServe's mode ${first[1]}, ${other[0]} for ${other[1]}: sought options of one mode`,
    {},
    { hint: 'docs/packaging.md says which mode each option is for.' },
  );
}
