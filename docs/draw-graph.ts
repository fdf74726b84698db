import type { Viz } from '@viz-js/viz';
import { scopeOf } from '../compiler/analysis/scope.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';
import type { Shapes } from './value-shapes.js';

/** A part of a graph to draw. */
export interface Picture {
  /** What stands above it, where several are drawn side by side. */
  readonly title?: string;
  readonly graph: Graph;
  readonly shapes: Shapes;
  /** Nodes to draw; between them run the values that one makes and another reads. */
  readonly nodes: readonly Node[];
  /** Those among them that are new. */
  readonly inserted: ReadonlySet<Node>;
  /** Readings that were moved to another value: `node id` and input, as `id:input`. */
  readonly rewired: ReadonlySet<string>;
  /** Base node → its clone. */
  readonly clones?: ReadonlyMap<Node, Node>;
  /** Inputs and weights worth showing. */
  readonly values: ReadonlySet<ValueName>;
}

const BASE = { fill: '#eef1f5', line: '#7b8794' };
const NEW = { fill: '#d3f4df', line: '#1f7a4d' };
const MOVED = '#d9480f';
const QUIET = '#57606a';

/** The pictures side by side as one SVG on a white ground, laid out by Graphviz. */
export function draw(viz: Viz, pictures: readonly Picture[]): string {
  const parts = pictures.map((picture, i) => {
    const lines = linesOf(picture, (name) => quoted(`${i} ${name}`));
    if (picture.title === undefined) return lines.join('\n');
    return `subgraph cluster_${i} { label=${quoted(picture.title)}\n${lines.join('\n')} }`;
  });
  const dot = `digraph {
    graph [bgcolor="white", pad=0.2, nodesep=0.3, ranksep=0.35, fontname="Helvetica", fontsize=14, color="white"]
    node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=12, margin="0.12,0.05", height=0.3, penwidth=1.2]
    edge [fontname="Helvetica", fontsize=10, arrowsize=0.7, penwidth=1.3]
    ${parts.join('\n')}
  }`;
  return toSvg(viz, dot);
}

function linesOf(picture: Picture, id: (name: string) => string): string[] {
  const { graph, nodes, inserted, rewired, clones, values, shapes } = picture;
  const drawn = new Set(nodes);
  const lines = nodes.map((node) => {
    const { fill, line } = inserted.has(node) ? NEW : BASE;
    const label = stacked(node.opType, [nameOf(graph, node), shapes.get(node.id)]);
    return `${id(node.id)} [label=${label}, fillcolor="${fill}", color="${line}"]`;
  });
  const shownValues = new Set<ValueName>();
  for (const node of nodes) {
    node.inputs.forEach((input, i) => {
      const producer = graph.producer(input);
      const isNew = inserted.has(node) || (producer !== undefined && inserted.has(producer));
      const color = rewired.has(`${node.id}:${i}`) ? MOVED : isNew ? NEW.line : BASE.line;
      if (producer !== undefined && drawn.has(producer))
        lines.push(`${id(producer.id)} -> ${id(node.id)} [color="${color}"]`);
      else if (producer === undefined && values.has(input)) {
        shownValues.add(input);
        lines.push(`${id(input)} -> ${id(node.id)} [color="${color}"]`);
      }
    });
  }
  for (const value of shownValues) {
    const label = stacked(shortValue(value), [shapes.get(value)]);
    lines.push(`${id(value)} [label=${label}, shape=plaintext, style=""]`);
  }
  for (const [base, clone] of clones ?? []) {
    if (!drawn.has(base) || !drawn.has(clone)) continue;
    lines.push(
      `${id(base.id)} -> ${id(clone.id)} [style=dotted, arrowhead=none, color="${NEW.line}", constraint=false]`,
    );
  }
  return lines;
}

/** A label of two lines: what it is, and small and quiet below it what is known of it. */
function stacked(first: string, below: readonly (string | undefined)[]): string {
  const second = below.filter((part) => part !== undefined).join(' ');
  const small = second === '' ? '' : `<br/><font point-size="10" color="${QUIET}">${plain(second)}</font>`;
  return `<${plain(first)}${small}>`;
}

/** A two-column table in the same dress, for what is no graph: all of it new. */
export function drawTable(viz: Viz, title: string, rows: readonly (readonly [string, string])[]): string {
  const cells = rows.map(
    ([key, value]) =>
      `<tr><td align="left" bgcolor="${NEW.fill}">${plain(key)}</td><td align="left">${plain(value)}</td></tr>`,
  );
  return toSvg(
    viz,
    `digraph {
    graph [bgcolor="white", pad=0.2]
    node [shape=plaintext, fontname="Helvetica", fontsize=12]
    table [label=<<table border="0" cellborder="1" cellspacing="0" cellpadding="5" color="${NEW.line}">
      <tr><td colspan="2"><b>${plain(title)}</b></td></tr>${cells.join('')}</table>>]
  }`,
  );
}

function toSvg(viz: Viz, dot: string): string {
  const svg = viz.renderString(dot, { format: 'svg' });
  const bare = svg.slice(svg.indexOf('<svg')).replace(/<!--[\s\S]*?-->\n?/g, '');
  return `${bare.trim()}\n`;
}

/** Longer names say more than a picture can hold. */
const LONGEST_NAME = 14;

/** The layer that a node is (to_q, to_k, …), or what it is called within the adapter's scope, or the value that it makes. */
function nameOf(graph: Graph, node: Node): string | undefined {
  const layer = /(?:^|\.)(to_(?:out\.0|\w+))$/.exec(scopeOf(graph, node)?.path ?? '')?.[1];
  if (layer !== undefined) return layer;
  const within = /^\/ip_adapter\/(\w+?)(?:_output_0)?$|\/(ip)(?:_output_0$|\/\w+_output_0$)/.exec(node.id);
  const name = within === null ? node.id : (within[1] ?? within[2])!;
  // `transpose_53` says no more than Transpose.
  const repeats = name.toLowerCase().startsWith(node.opType.toLowerCase());
  return name.length > LONGEST_NAME || repeats ? undefined : name;
}

function shortValue(value: ValueName): string {
  return value.replace(/^.*\.(to_\w+\.(?:\d\.)?(?:faceid\.)?weight)$/, '$1');
}

function plain(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function quoted(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
