import type { Viz } from '@viz-js/viz';
import { IpgraftError } from '../../compiler/errors.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { Node } from '../../compiler/onnx/node.js';
import { type CrossAttention, locateCrossAttention } from '../../passes/locate-cross-attention.js';
import { counted } from '../counted.js';
import { drawPicture } from './draw-picture.js';
import type { GraphPair, NodeMark } from './graph-pair.js';
import { html, type Markup } from './markup.js';
import { type NamedPicture, type Picture, pictureOf } from './picture.js';
import type { SiteData } from './report-data.js';
import { neighbourhood, siteNodes } from './site-graph.js';
import { type MapSite, type SiteState, STATE_WORDS } from './unet-map.js';

/** The cross-attentions of a model, or none where it is no UNet of which that can be told. */
export function sitesIn(graph: Graph): readonly CrossAttention[] {
  try {
    return locateCrossAttention(graph).attentions;
  } catch (error) {
    if (error instanceof IpgraftError && /^(MATCH|MODEL)_/.test(error.code)) return [];
    throw error;
  }
}

/** Part of a graph before and after. `null`: it is not there. */
interface Drawing {
  readonly before: NamedPicture | null;
  readonly after: NamedPicture | null;
}

/** What became of the nodes and readings that are drawn. */
type Marks = ReadonlySet<NodeMark | 'rewired'>;

/** Every cross-attention with its drawing; those of one form share one. */
export interface DrawnSites {
  readonly sites: readonly (MapSite & { readonly data: SiteData })[];
  /** The drawings that differ, each before and after. */
  readonly drawings: readonly Markup[];
  readonly marks: Marks;
}

/** Draws the cross-attentions of `pair.before` as they are in both graphs. Graphviz lays out each form once. */
export function drawSites(viz: Viz, pair: GraphPair, attentions: readonly CrossAttention[]): DrawnSites {
  const drawings: Markup[] = [];
  const known = new Map<string, number>();
  const marks = new Set<NodeMark | 'rewired'>();
  // Another export of the same UNet has other values, and attentions of the same names.
  let later: ReadonlyMap<string, CrossAttention> | undefined;
  const sites = attentions.map(({ id, scope, place, exit }) => {
    const start = pair.before.producer(exit.node)!;
    let after: Exit | undefined = { node: pair.nodeAfter(start), input: exit.input };
    if (after.node === undefined) {
      later ??= new Map(sitesIn(pair.after).map((attention) => [attention.scope, attention]));
      const found = later.get(scope)?.exit;
      after = found && { node: pair.after.producer(found.node), input: found.input };
    }
    const drawing = drawingOf(pair, { node: start, input: exit.input }, after);
    const form = JSON.stringify([drawing.before?.picture, drawing.after?.picture]);
    let number = known.get(form);
    if (number === undefined) {
      number = drawings.push(figures(viz, drawing)) - 1;
      known.set(form, number);
      for (const mark of marksOf(drawing)) marks.add(mark);
    }
    const state = stateOf(drawing.before?.picture, drawing.after?.picture);
    const data: SiteData = {
      id,
      scope,
      words: STATE_WORDS[state],
      drawing: number,
      before: drawing.before?.names ?? [],
      after: drawing.after?.names ?? [],
    };
    return { id, scope, place, state, data };
  });
  return { sites, drawings, marks };
}

/** The node that reads an attention's result, if it is there, and as which input. */
interface Exit {
  readonly node: Node | undefined;
  readonly input: number;
}

function drawingOf(pair: GraphPair, before: Exit, after: Exit | undefined): Drawing {
  const isNew = (node: Node) => pair.nodeBefore(node) === undefined;
  return { before: side('before', before), after: side('after', after) };

  function side(name: 'before' | 'after', exit: Exit | undefined): NamedPicture | null {
    if (exit?.node === undefined) return null;
    const nodes = siteNodes(
      pair[name],
      exit.node,
      exit.input,
      pair.shapes[name],
      name === 'after' ? isNew : undefined,
    );
    return pictureOf(pair, name, nodes);
  }
}

function marksOf({ before, after }: Drawing): Marks {
  const pictures = [before, after].flatMap((drawn) => drawn?.picture ?? []);
  const rewired = pictures.some(({ edges }) => edges.some(({ mark }) => mark === 'rewired'));
  const ofNodes = pictures.flatMap(({ nodes }) => nodes.map(({ mark }) => mark));
  return new Set([...ofNodes, ...(rewired ? (['rewired'] as const) : [])]);
}

function stateOf(before: Picture | undefined, after: Picture | undefined): SiteState {
  const marks = [...(before?.nodes ?? []), ...(after?.nodes ?? [])].map(({ mark }) => mark);
  if (after === undefined || marks.includes('gone') || marks.includes('changed')) return 'changed';
  return marks.includes('new') || after.edges.some(({ mark }) => mark !== 'kept') ? 'patched' : 'untouched';
}

/** What can be looked at in one picture. */
const MOST_NODES = 60;

/** What changed with what is next to it, before and after; `null` where that is nothing, or more than can be looked at. */
export function drawNeighbourhood(
  viz: Viz,
  pair: GraphPair,
): { readonly drawing: Markup; readonly marks: Marks } | null {
  const touched = (side: 'before' | 'after') => (node: Node) =>
    pair.markOf(side, node) !== 'kept' ||
    (side === 'after' && node.inputs.some((_, input) => pair.isRewired(node, input)));
  const after = pair.after.nodes.filter(touched('after'));
  const old = after.flatMap((node) => pair.nodeBefore(node) ?? []);
  const before = [...pair.before.nodes.filter(touched('before')), ...old];
  if (before.length + after.length === 0) return null;
  const [first, second] = [
    neighbourhood(pair.before, before, MOST_NODES),
    neighbourhood(pair.after, after, MOST_NODES),
  ];
  if (first === null || second === null) return null;
  const draw = (side: 'before' | 'after', nodes: readonly Node[]) =>
    nodes.length === 0 ? null : pictureOf(pair, side, nodes);
  const drawing = { before: draw('before', first), after: draw('after', second) };
  return { drawing: figures(viz, drawing, true), marks: marksOf(drawing) };
}

/** With `named`, every box bears its name; without, the script names the boxes of the site that is shown. */
function figures(viz: Viz, { before, after }: Drawing, named = false): Markup {
  return html`<div class="pair">${figure('before', before)}${figure('after', after)}</div>`;

  function figure(side: string, drawn: NamedPicture | null): Markup {
    if (drawn === null)
      return html`<figure class="${side}"><figcaption><b>${side}</b></figcaption><p>Not there.</p></figure>`;
    const words = sizeOf(drawn.picture);
    const names = named ? drawn.names : [];
    return html`<figure class="${side}"><figcaption><b>${side}</b> <span>${words}</span></figcaption><div class="scroll" tabindex="0" role="group" aria-label="${side}: ${words}">${drawPicture(viz, drawn.picture, `${side}: ${words}`, names)}</div></figure>`;
  }
}

function sizeOf({ nodes, edges }: Picture): string {
  const count = (mark: string) => nodes.filter((node) => node.mark === mark).length;
  const moved = edges.filter(({ mark }) => mark === 'rewired').length;
  return [
    counted(nodes.length - count('value'), 'node'),
    ...(['new', 'gone', 'changed'] as const).filter(count).map((mark) => `${count(mark)} ${mark}`),
    ...(moved > 0 ? [`${moved} rewired`] : []),
  ].join(', ');
}
