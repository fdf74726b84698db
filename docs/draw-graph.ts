import type { Viz } from '@viz-js/viz';
import { scopeOf } from '../compiler/analysis/scope.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';

/** A part of a graph to draw. */
export interface Picture {
  readonly graph: Graph;
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

/** The picture as SVG on a white ground, laid out by Graphviz. */
export function draw(viz: Viz, picture: Picture): string {
  const { graph, nodes, inserted, rewired, clones, values } = picture;
  const drawn = new Set(nodes);
  const lines: string[] = [];
  for (const node of nodes) {
    const { fill, line } = inserted.has(node) ? NEW : BASE;
    lines.push(`${id(node.id)} [label=${text(labelOf(graph, node))}, fillcolor="${fill}", color="${line}"]`);
  }
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
  for (const value of shownValues)
    lines.push(`${id(value)} [label=${text(shortValue(value))}, shape=plaintext, style="", fontsize=11]`);
  for (const [base, clone] of clones ?? []) {
    if (!drawn.has(base) || !drawn.has(clone)) continue;
    lines.push(
      `${id(base.id)} -> ${id(clone.id)} [style=dotted, arrowhead=none, color="${NEW.line}", constraint=false]`,
    );
  }
  const dot = `digraph {
    graph [bgcolor="white", pad=0.2, nodesep=0.3, ranksep=0.35, fontname="Helvetica"]
    node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=12, margin="0.14,0.06", height=0.3, penwidth=1.2]
    edge [fontname="Helvetica", fontsize=10, arrowsize=0.7, penwidth=1.3]
    ${lines.join('\n')}
  }`;
  return toSvg(viz, dot);
}

/** A two-column table in the same dress, for what is no graph: all of it new. */
export function drawTable(viz: Viz, title: string, rows: readonly (readonly [string, string])[]): string {
  const plain = (value: string) =>
    value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
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

/** Operator, and the layer that it is, when it is one of to_q, to_k, …. */
function labelOf(graph: Graph, node: Node): string {
  const layer = /(?:^|\.)(to_(?:out\.0|\w+))$/.exec(scopeOf(graph, node)?.path ?? '')?.[1];
  const made =
    node.id.startsWith('/ip_adapter/') && !node.id.endsWith('_output_0')
      ? node.id.slice('/ip_adapter/'.length)
      : undefined;
  const name = layer ?? made;
  return name === undefined ? node.opType : `${name}\n${node.opType}`;
}

function shortValue(value: ValueName): string {
  return value.replace(/^.*\.(to_\w+\.(?:\d\.)?weight)$/, '$1');
}

function id(name: string): string {
  return text(name);
}

function text(value: string): string {
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
