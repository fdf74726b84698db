import type { Place } from '../../passes/checkpoint-order.js';
import { counted } from '../counted.js';
import { html, type Markup } from './markup.js';
import { type Blocks, boxesOf, type UnetBox } from './unet-boxes.js';

type Box = UnetBox<MapSite>;

/** What is said of a cross-attention on the map. Each has a form of its own besides its colour. */
export type SiteState = 'patched' | 'untouched' | 'changed' | 'holds' | 'fails';

/** What the states are called. */
export const STATE_WORDS: Readonly<Record<SiteState, string>> = {
  patched: 'patched',
  untouched: 'as it was',
  changed: 'changed otherwise',
  holds: 'holds',
  fails: 'fails',
};

/** A cross-attention on the map. */
export interface MapSite {
  /** The checkpoint's layer id. */
  readonly id: number;
  readonly scope: string;
  readonly place: Place;
  readonly state: SiteState;
}

const BOX = { padding: 9, title: 32, row: 26, pitch: 22, gap: 16, step: 12 };
/** So many have room below a block's name. */
const FEWEST_IN_ROW = 8;
/** The middle of the map: between the ways down and up the skip connections run. */
const BETWEEN = 48;
/** Around everything, for lines to be whole. */
const EDGE = 2;

interface PlacedBox extends Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * The UNet as its blocks, an SVG: down on the left, up on the right, the middle below, skip connections between; in each block its
 * cross-attentions as links to `#site-ID`.
 */
export function unetMap(sites: readonly MapSite[], blocks: Blocks): Markup {
  const { down, mid, up, width, height } = placed(boxesOf(sites, blocks));
  const skips = down.flatMap((box, level) => {
    const other = up[level];
    const y = box.y + BOX.title / 2 + 4;
    return other === undefined
      ? []
      : [html`<path class="skip-line" d="M${box.x + box.width} ${y}H${other.x - 2}"/>`];
  });
  const ways = [
    ...down.map((box, level) => wayDown(box, down[level + 1] ?? mid)),
    ...up.map((box, level) => wayUp(up[level + 1] ?? mid, box)),
  ];
  const drawn = [...down, mid, ...up.toReversed()].map(drawBox);
  const label = `The UNet with its ${counted(sites.length, 'cross-attention')}`;
  return html`<svg class="unet" viewBox="0 0 ${width} ${height}" role="group" aria-label="${label}"><g aria-hidden="true">${skips}${ways}</g>${drawn}</svg>`;
}

/** The forms on the map of these sites, with words. */
export function mapLegend(sites: readonly MapSite[]): Markup {
  const states = Object.keys(STATE_WORDS) as SiteState[];
  const there = states.filter((state) => sites.some((site) => site.state === state));
  return html`<ul class="legend">${there.map((state) => html`<li class="of-${state}">${STATE_WORDS[state]}</li>`)}</ul>`;
}

/** Puts down and up at the sides, each level a step further in, and the middle below both. */
function placed({ down, mid, up }: ReturnType<typeof boxesOf<MapSite>>) {
  const longest = Math.max(
    FEWEST_IN_ROW,
    ...[...down, mid, ...up].flatMap(({ rows }) => rows.map((row) => row.length)),
  );
  const size = (box: Box) => ({
    width: 2 * BOX.padding + BOX.pitch * longest,
    height: BOX.title + BOX.row * box.rows.length + BOX.padding,
  });
  const levels = Math.max(down.length, up.length);
  const boxWidth = size(mid).width;
  const width = 2 * boxWidth + BETWEEN + 2 * BOX.step * (levels - 1);
  const sides: Record<'down' | 'up', PlacedBox[]> = { down: [], up: [] };
  let y = EDGE;
  for (let level = 0; level < levels; level++) {
    const inset = BOX.step * level + EDGE;
    const [left, right] = [down[level], up[level]];
    if (left !== undefined) sides.down.push({ ...left, ...size(left), x: inset, y });
    if (right !== undefined) sides.up.push({ ...right, ...size(right), x: width - boxWidth - inset, y });
    y += Math.max(...[left, right].map((box) => (box === undefined ? 0 : size(box).height))) + BOX.gap;
  }
  const middle: PlacedBox = { ...mid, ...size(mid), x: (width - boxWidth) / 2, y: y + BOX.gap };
  return { ...sides, mid: middle, width, height: middle.y + middle.height + EDGE };
}

function drawBox({ name, rows, x, y, width, height }: PlacedBox): Markup {
  const count = rows.flat().length;
  const right = x + width - BOX.padding;
  const marks = rows.flatMap((row, r) =>
    row.map((site, n) => {
      const [left, middle] = [
        x + BOX.padding + BOX.pitch * (n + 0.5),
        y + BOX.title + BOX.row * (r + 0.5) + 2,
      ];
      return drawSite(site, left, middle);
    }),
  );
  return html`<g class="block${count === 0 ? ' empty' : ''}"><rect x="${x}" y="${y}" width="${width}" height="${height}" rx="10"/><text x="${x + BOX.padding}" y="${y + 22}">${name}</text><text class="note" x="${right}" y="${y + 22}" text-anchor="end">${count === 0 ? '–' : count}</text>${marks}</g>`;
}

/** Half the width of a site's mark. */
const R = 9;

/** What each state looks like around (x, y). */
const FORMS: Readonly<Record<SiteState, (x: number, y: number) => Markup>> = {
  patched: (x, y) => disc(x, y, `M${x - 4} ${y}h8m-4 -4v8`),
  holds: (x, y) => disc(x, y, `M${x - 4} ${y}l3 3l5 -6`),
  untouched: (x, y) => html`<circle cx="${x}" cy="${y}" r="${R - 1}"/>`,
  changed: (x, y) =>
    html`<rect x="${x - R}" y="${y - R}" width="${2 * R}" height="${2 * R}"/><path class="sign" d="M${x - 4} ${y - 2}h8m-8 4h8"/>`,
  fails: (x, y) =>
    html`<path d="M${x} ${y - R - 2}l${R + 2} ${R + 2}l${-R - 2} ${R + 2}l${-R - 2} ${-R - 2}Z"/><path class="sign" d="M${x} ${y - 5}v6m0 3v2"/>`,
};

function disc(x: number, y: number, sign: string): Markup {
  return html`<circle cx="${x}" cy="${y}" r="${R}"/><path class="sign" d="${sign}"/>`;
}

function drawSite({ id, scope, state }: MapSite, x: number, y: number): Markup {
  const label = `${scope}, id ${id}: ${STATE_WORDS[state]}`;
  return html`<a class="site ${state}" href="#site-${id}" data-site="${id}" aria-label="${label}"><title>${label}</title><rect class="target" x="${x - 11}" y="${y - 13}" width="22" height="26" rx="6"/>${FORMS[state](x, y)}</a>`;
}

/** To the next block on the way down, or into the middle's side. */
function wayDown(from: PlacedBox, to: PlacedBox): Markup {
  const [x, start] = [from.x + from.width / 2, from.y + from.height];
  const [side, y] = [to.x - 2, to.y + to.height / 2];
  if (to.part === 'mid' && x + BEND < side)
    return html`<path class="way" d="M${x} ${start}V${y - BEND}q0 ${BEND} ${BEND} ${BEND}H${side}m-6 -4l6 4l-6 4"/>`;
  return html`<path class="way" d="M${x} ${start}V${to.y - 1}m-4 -6l4 6l4 -6"/>`;
}

/** From the block below on the way up, or out of the middle's side. */
function wayUp(from: PlacedBox, to: PlacedBox): Markup {
  const [x, end] = [to.x + to.width / 2, to.y + to.height + 1];
  const [side, y] = [from.x + from.width, from.y + from.height / 2];
  if (from.part === 'mid' && x - BEND > side)
    return html`<path class="way" d="M${side} ${y}H${x - BEND}q${BEND} 0 ${BEND} ${-BEND}V${end}m-4 6l4 -6l4 6"/>`;
  return html`<path class="way" d="M${x} ${from.y}V${end}m-4 6l4 -6l4 6"/>`;
}

/** The radius of a corner on the way into the middle and out of it. */
const BEND = 10;
