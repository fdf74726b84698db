import type { Viz } from '@viz-js/viz';
import type { NodeMark } from './graph-pair.js';
import { html, type Markup } from './markup.js';
import type { Picture, PictureEdge, PictureNode } from './picture.js';

/** Graphviz counts in points, 72 to an inch, from the bottom. */
const POINTS = 72;

/** What Graphviz answers: places alone. */
interface Layout {
  readonly bb: string;
  readonly objects?: readonly { readonly name: string; readonly pos: string }[];
  readonly edges?: readonly { readonly tail: number; readonly head: number; readonly pos: string }[];
}

/**
 * A picture as SVG. Graphviz is told sizes and connections in numbers and answers with places, so no text of a model ever reaches it; what
 * is drawn there is drawn here, in classes that the style sheet colours. Box i is `data-n="i"`, and its name, if given, its title.
 */
export function drawPicture(viz: Viz, picture: Picture, label: string, names: readonly string[]): Markup {
  const sizes = picture.nodes.map(sizeOf);
  const layout = JSON.parse(viz.renderString(dotOf(picture, sizes), { format: 'json0' })) as Layout;
  const [, , width, height] = layout.bb.split(',').map(Number) as [number, number, number, number];
  const at = (point: string): [number, number] => {
    const [x, y] = point.split(',').map(Number) as [number, number];
    return [rounded(x), rounded(height - y)];
  };
  const kinds = new Map(picture.edges.map((edge) => [`${edge.from} ${edge.to}`, edge]));
  const edges = (layout.edges ?? []).map(({ tail, head, pos }) =>
    drawEdge(kinds.get(`${tail} ${head}`)!, pos.replace(/^e,/, '').split(' ').map(at)),
  );
  const boxes = (layout.objects ?? []).map(({ name, pos }) =>
    drawBox(picture.nodes[Number(name)]!, Number(name), at(pos), sizes[Number(name)]!, names[Number(name)]),
  );
  const [w, h] = [Math.ceil(width) + 2 * MARGIN, Math.ceil(height) + 2 * MARGIN];
  return html`<svg class="graph" width="${w}" height="${h}" viewBox="${-MARGIN} ${-MARGIN} ${w} ${h}" role="img" aria-label="${label}">${edges}${boxes}</svg>`;
}

const MARGIN = 8;

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Widths of letters of the system's fonts, generously: no font is at hand to measure. */
const LETTER = { label: 7.4, role: 6.3 };

function sizeOf({ label, role, mark }: PictureNode): Size {
  const beside = SIGNS[mark] === undefined ? 18 : 40;
  return {
    width: Math.max(64, [...label].length * LETTER.label + beside, [...role].length * LETTER.role + beside),
    height: role === '' ? 30 : 42,
  };
}

function dotOf({ nodes, edges }: Picture, sizes: readonly Size[]): string {
  const inches = (points: number) => (points / POINTS).toFixed(3);
  return `digraph {
graph [nodesep=0.22, ranksep=0.34]
node [shape=box, fixedsize=true, label=""]
edge [arrowsize=0.6]
${nodes.map((_, i) => `${i} [width=${inches(sizes[i]!.width)}, height=${inches(sizes[i]!.height)}]`).join('\n')}
${edges.map(({ from, to }) => `${from} -> ${to}`).join('\n')}
}`;
}

/** What a mark is besides a colour. */
const SIGNS: Readonly<Partial<Record<NodeMark, string>>> = { new: '+', gone: '−', changed: '≠' };

function drawBox(
  { label, role, mark }: PictureNode,
  n: number,
  [x, y]: [number, number],
  { width, height }: Size,
  name: string | undefined,
): Markup {
  const [left, top] = [rounded(x - width / 2), rounded(y - height / 2)];
  const sign = SIGNS[mark];
  return html`<g class="n ${mark}" data-n="${n}">${name !== undefined && html`<title>${name}</title>`}<rect x="${left}" y="${top}" width="${rounded(width)}" height="${height}" rx="6"/><text x="${x}" y="${role === '' ? y + 4 : y - 3}">${label}</text>${role !== '' && html`<text class="role" x="${x}" y="${y + 13}">${role}</text>`}${sign !== undefined && html`<text class="sign" x="${left + 10}" y="${top + 14}">${sign}</text>`}</g>`;
}

/** `points`: the tip, then a Bézier curve as Graphviz gives it. */
function drawEdge(
  { mark }: PictureEdge,
  [tip, start, ...curve]: readonly (readonly [number, number])[],
): Markup {
  const [[tx, ty], [ex, ey]] = [tip!, curve.at(-1) ?? start!];
  const length = Math.hypot(tx - ex, ty - ey) || 1;
  const [dx, dy] = [(tx - ex) / length, (ty - ey) / length];
  const [bx, by] = [tx - dx * HEAD, ty - dy * HEAD];
  const side = HEAD * 0.45;
  const head = `M${tx} ${ty}L${rounded(bx - dy * side)} ${rounded(by + dx * side)}L${rounded(bx + dy * side)} ${rounded(by - dx * side)}Z`;
  const line = `M${start!.join(' ')}C${curve.map((point) => point.join(' ')).join(' ')}`;
  return html`<g class="e ${mark}"><path d="${line}"/><path class="head" d="${head}"/></g>`;
}

const HEAD = 8;

function rounded(number: number): number {
  return Math.round(number * 10) / 10;
}
