import { moduleOfParameter, modulePath } from '../../compiler/analysis/scope.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import { findPlace, type Part, type Place } from '../../passes/checkpoint-order.js';
import { counted, html, type Markup } from './markup.js';

/** What is said of a cross-attention on the map. Each has a form of its own besides its colour. */
export type SiteState = 'patched' | 'untouched' | 'changed' | 'holds' | 'fails';

/** A cross-attention on the map. */
export interface MapSite {
  /** The checkpoint's layer id. */
  readonly id: number;
  readonly scope: string;
  readonly place: Place;
  readonly state: SiteState;
}

/** How many blocks a UNet has on the way down and on the way up. */
export type Blocks = Readonly<Record<'down' | 'up', number>>;

/** The blocks that the names of a graph's nodes and weights tell of, those without cross-attentions among them. */
export function blocksOf(graph: Graph): Blocks {
  const counts = { down: 0, up: 0 };
  const paths = [
    ...graph.nodes.map((node) => modulePath(node.name)),
    ...[...graph.initializers.keys()].map(moduleOfParameter),
  ];
  for (const path of paths) {
    const place = path === undefined ? undefined : findPlace(path);
    if (place === undefined || place.part === 'mid') continue;
    const block = place.numbers[0] ?? 0;
    if (block < MOST_BLOCKS) counts[place.part] = Math.max(counts[place.part], block + 1);
  }
  return counts;
}

/** Published UNets have four; what has more is drawn in one block each way. */
const MOST_BLOCKS = 12;

const BOX = { width: 240, padding: 9, title: 32, row: 26, gap: 16, step: 12 };
const SITES_IN_ROW = 10;
/** The middle of the map: between the ways down and up the skip connections run. */
const BETWEEN = 48;

interface Box {
  readonly name: string;
  readonly part: Part;
  readonly level: number;
  /** Sites by the layer of the block that holds them. */
  readonly rows: readonly (readonly MapSite[])[];
}

/**
 * The UNet as its blocks, an SVG: down on the left, up on the right, the middle below, skip connections between; in each block its
 * cross-attentions as links to `#site-ID`.
 */
export function unetMap(
  sites: readonly MapSite[],
  blocks: Blocks,
  wording: Readonly<Partial<Record<SiteState, string>>>,
): Markup {
  const { down, mid, up } = boxesOf(sites, blocks);
  const levels = Math.max(down.length, up.length);
  const width = 2 * BOX.width + BETWEEN + 2 * BOX.step * Math.max(0, levels - 1);
  const tops: number[] = [];
  let y = 8;
  for (let level = 0; level < levels; level++) {
    tops.push(y);
    y += Math.max(heightOf(down[level]), heightOf(up[level])) + BOX.gap;
  }
  const midTop = y + BOX.gap;
  const height = midTop + heightOf(mid) + 8;
  const left = (level: number) => BOX.step * level;
  const right = (level: number) => width - BOX.width - BOX.step * level;
  const midLeft = (width - BOX.width) / 2;
  const drawn = [
    ...down.map((box, level) => drawBox(box, left(level), tops[level]!, wording)),
    ...up.map((box, level) => drawBox(box, right(level), tops[level]!, wording)),
    drawBox(mid, midLeft, midTop, wording),
  ];
  const ways = [...down, ...up].flatMap(({ part, level }) => {
    const x = (part === 'down' ? left(level) : right(level)) + BOX.width / 2;
    const top = tops[level]! + heightOf((part === 'down' ? down : up)[level]);
    const next = tops[level + 1];
    const isLast = level === (part === 'down' ? down : up).length - 1;
    if (isLast) return [wayToMid(part, x, top, midLeft, midTop + heightOf(mid) / 2)];
    return [part === 'down' ? arrow(x, top, next! - 1) : arrow(x, next!, top + 1)];
  });
  const skips = down.flatMap(({ level }) => {
    if (up[level] === undefined) return [];
    const at = tops[level]! + BOX.title / 2 + 4;
    return [html`<path class="skip-line" d="M${left(level) + BOX.width} ${at}H${right(level) - 2}"/>`];
  });
  const label = `The UNet with its ${counted(sites.length, 'cross-attention')}`;
  return html`<svg class="unet" viewBox="0 0 ${width} ${height}" role="group" aria-label="${label}"><g aria-hidden="true">${skips}${ways}</g>${drawn}</svg>`;
}

function boxesOf(sites: readonly MapSite[], blocks: Blocks): { down: Box[]; mid: Box; up: Box[] } {
  // Names that are made up for a model without any count attentions, not blocks.
  const isFlat = sites.some(
    ({ place }) =>
      place.part !== 'mid' && (place.numbers.length < 2 || (place.numbers[0] ?? 0) >= MOST_BLOCKS),
  );
  const make = (part: Part, count: number): Box[] =>
    Array.from({ length: count }, (_, block) => {
      const own = sites.filter(
        ({ place }) => place.part === part && (isFlat || part === 'mid' || place.numbers[0] === block),
      );
      const layers = new Map<number, MapSite[]>();
      for (const site of own) {
        const layer = isFlat ? 0 : (site.place.numbers.at(-2) ?? 0);
        layers.set(layer, [...(layers.get(layer) ?? []), site]);
      }
      const rows = [...layers.values()].flatMap((row) => chunks(row, SITES_IN_ROW));
      const name = part === 'mid' ? 'mid_block' : isFlat ? `${part}_blocks` : `${part}_blocks.${block}`;
      return { name, part, level: part === 'up' ? count - 1 - block : block, rows };
    });
  const countOf = (part: 'down' | 'up') =>
    isFlat
      ? 1
      : Math.max(
          blocks[part],
          1,
          ...sites.filter(({ place }) => place.part === part).map(({ place }) => place.numbers[0]! + 1),
        );
  // The first block of the way up is the lowest.
  return {
    down: make('down', countOf('down')),
    mid: make('mid', 1)[0]!,
    up: make('up', countOf('up')).toReversed(),
  };
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}

function heightOf(box: Box | undefined): number {
  if (box === undefined) return 0;
  return BOX.title + Math.max(box.rows.length, 0) * BOX.row + BOX.padding;
}

function drawBox(
  box: Box,
  x: number,
  y: number,
  wording: Readonly<Partial<Record<SiteState, string>>>,
): Markup {
  const count = box.rows.flat().length;
  const note = count === 0 ? '–' : `${count}`;
  const pitch = (BOX.width - 2 * BOX.padding) / SITES_IN_ROW;
  const marks = box.rows.flatMap((row, r) =>
    row.map((site, n) =>
      drawSite(
        site,
        x + BOX.padding + pitch * (n + 0.5),
        y + BOX.title + BOX.row * (r + 0.5) + 2,
        wording[site.state] ?? site.state,
      ),
    ),
  );
  return html`<g class="block${count === 0 ? ' empty' : ''}"><rect x="${x}" y="${y}" width="${BOX.width}" height="${heightOf(box)}" rx="10"/><text x="${x + BOX.padding}" y="${y + 21}">${box.name}</text><text class="note" x="${x + BOX.width - BOX.padding}" y="${y + 21}" text-anchor="end">${note}</text>${marks}</g>`;
}

/** Half the width of a site's mark. */
const R = 9;

function drawSite({ id, scope, state }: MapSite, x: number, y: number, words: string): Markup {
  const form =
    state === 'untouched'
      ? html`<circle cx="${x}" cy="${y}" r="${R - 1}"/>`
      : state === 'fails'
        ? html`<path d="M${x} ${y - R - 2}L${x + R + 2} ${y}L${x} ${y + R + 2}L${x - R - 2} ${y}Z"/><path class="sign" d="M${x} ${y - 5}v6m0 3v2"/>`
        : state === 'changed'
          ? html`<rect x="${x - R}" y="${y - R}" width="${2 * R}" height="${2 * R}"/><path class="sign" d="M${x - 4} ${y - 2}h8m-8 4h8"/>`
          : html`<circle cx="${x}" cy="${y}" r="${R}"/><path class="sign" d="${state === 'holds' ? `M${x - 4} ${y}l3 3l5 -6` : `M${x - 4} ${y}h8m-4 -4v8`}"/>`;
  const label = `${scope}, id ${id}: ${words}`;
  return html`<a class="site ${state}" href="#site-${id}" data-site="${id}" aria-label="${label}"><title>${label}</title><rect class="target" x="${x - 11}" y="${y - 13}" width="22" height="26" rx="6"/>${form}</a>`;
}

function arrow(x: number, from: number, to: number): Markup {
  const direction = Math.sign(to - from);
  return html`<path class="way" d="M${x} ${from}V${to}m-4 ${-6 * direction}l4 ${6 * direction}l4 ${-6 * direction}"/>`;
}

/** From the lowest block down into the middle's side, or from there up. */
function wayToMid(part: Part, x: number, from: number, midLeft: number, midY: number): Markup {
  if (part === 'down') {
    const end = midLeft - 2;
    return x < end
      ? html`<path class="way" d="M${x} ${from}V${midY - 10}q0 10 10 10H${end}m-6 -4l6 4l-6 4"/>`
      : arrow(x, from, midY - 20);
  }
  const start = midLeft + BOX.width;
  return x > start
    ? html`<path class="way" d="M${start} ${midY}H${x - 10}q10 0 10 -10V${from + 1}m-4 6l4 -6l4 6"/>`
    : arrow(x, midY - 20, from);
}
