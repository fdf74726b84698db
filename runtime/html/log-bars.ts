import { html, type Markup } from './markup.js';

/** Powers of ten from which and to which bars are drawn. */
export interface LogScale {
  readonly from: number;
  readonly to: number;
}

/** A scale on which every number above zero among `numbers` has its place, two powers of ten at least. */
export function logScale(numbers: readonly number[]): LogScale {
  const powers = numbers.filter((number) => number > 0 && Number.isFinite(number)).map(Math.log10);
  const to = Math.ceil(Math.max(-12, ...powers) + 0.1);
  return { from: Math.min(to - 2, Math.floor(Math.min(0, ...powers) - 0.1)), to };
}

const WIDTH = 220;
const HEIGHT = 26;
const EDGE = 4;

/** Where a number stands: at the left edge where it is 0, at the right one where it is not finite. */
function placeOf({ from, to }: LogScale, number: number): number {
  const share = number === 0 ? 0 : Number.isFinite(number) ? (Math.log10(number) - from) / (to - from) : 1;
  return Math.round((EDGE + Math.min(1, Math.max(0, share)) * (WIDTH - 2 * EDGE)) * 10) / 10;
}

/** The powers of ten at both ends, for the head of a column of bars. */
export function scaleOf({ from, to }: LogScale): Markup {
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="from 1e${from} to 1e${to}"><text x="${EDGE}" y="18">1e${from}</text><text x="${WIDTH - EDGE}" y="18" text-anchor="end">1e${to}</text></svg>`;
}

/** One number as a bar with its limit as a line across. What failed is taller, too. */
export function barOf(scale: LogScale, number: number, limit: number, passed: boolean): Markup {
  const [end, line] = [placeOf(scale, number), placeOf(scale, limit)];
  const [top, height] = passed ? [9, 8] : [6, 14];
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true"><rect class="track" x="${EDGE}" y="9" width="${WIDTH - 2 * EDGE}" height="8"/><rect class="${passed ? 'bar-good' : 'bar-bad'}" x="${EDGE}" y="${top}" width="${Math.max(0, end - EDGE)}" height="${height}"/><path class="limit" d="M${line} 2V24"/></svg>`;
}
