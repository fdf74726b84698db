import { roundHalfEven } from '../round-half-even.js';
import { oneOf } from './refuse.js';

/** `numpy.linspace` in double precision. */
export function linspace(start: number, end: number, count: number): number[] {
  const step = (end - start) / (count - 1);
  return Array.from({ length: count }, (_, i) => {
    if (i === 0) return start;
    return i === count - 1 ? end : i * step + start;
  });
}

/** How timesteps of the training are chosen for a picture. */
export interface Spacing {
  /** Table 2 of Lin et al. (2023): `leading`, `linspace` or `trailing`. */
  readonly kind: string;
  /** How many timesteps the training had, or how many of them are used. */
  readonly last: number;
  readonly train: number;
  readonly offset: number;
  /** Whether there is one more in the grid, nearest the picture, which is then left out (DPM-Solver, UniPC). */
  readonly oneMore: boolean;
  /** Whether `linspace` keeps fractions (Euler). */
  readonly fractions: boolean;
}

/**
 * The timesteps of a schedule, from the noisiest to the last one.
 *
 * For some counts (61 of 1000 is the first) numpy's arange has one more `trailing` timestep by an error of rounding, which diffusers
 * keeps: −1. Here there are as many as were asked for.
 * @throws IpgraftError `OPTION_SCHEDULER`: a spacing that is not known
 */
export function spacedTimesteps(scheduler: string, spacing: Spacing, steps: number): number[] {
  const { kind, last, train, offset, oneMore, fractions } = spacing;
  const count = steps + (oneMore ? 1 : 0);
  switch (oneOf(scheduler, 'timestep_spacing', kind, ['linspace', 'leading', 'trailing'])) {
    case 'linspace': {
      const grid = linspace(0, last - 1, count).map(fractions ? Math.fround : roundHalfEven);
      return grid.reverse().slice(0, steps);
    }
    case 'leading': {
      const ratio = Math.floor(last / count);
      return Array.from({ length: count }, (_, i) => i * ratio + offset)
        .reverse()
        .slice(0, steps);
    }
    case 'trailing': {
      const ratio = train / steps;
      // numpy.arange adds up from the difference of its first two values.
      const step = last - ratio - last;
      const length = Math.min(steps, Math.ceil(last / ratio));
      return Array.from({ length }, (_, i) => roundHalfEven(last + i * step) - 1);
    }
  }
}
