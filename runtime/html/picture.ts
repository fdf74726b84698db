import { scopeOf } from '../../compiler/analysis/scope.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { Node, ValueName } from '../../compiler/onnx/node.js';
import type { GraphPair, NodeMark } from './graph-pair.js';

/** A box of a picture: a node, or a value that comes from outside of it. */
export interface PictureNode {
  readonly label: string;
  /** Small below it: which layer or part it is. */
  readonly role: string;
  readonly mark: NodeMark;
}

/** A reading; `from` and `to` are places in {@link Picture.nodes}. */
export interface PictureEdge {
  readonly from: number;
  readonly to: number;
  readonly mark: 'kept' | 'new' | 'rewired';
}

/** A part of a graph as it is drawn. Two attentions of the same form have equal pictures and other names. */
export interface Picture {
  readonly nodes: readonly PictureNode[];
  readonly edges: readonly PictureEdge[];
}

/** A picture and what its nodes are called in full, one name for each. */
export interface NamedPicture {
  readonly picture: Picture;
  readonly names: readonly string[];
}

/** Weights that came with the adapter are worth a box of their own; other constants are not. */
const NEW_WEIGHT = /\.weight$/;

/** `nodes` of one side of `pair`, with the values that reach them from outside. */
export function pictureOf(pair: GraphPair, side: 'before' | 'after', nodes: readonly Node[]): NamedPicture {
  const graph = pair[side];
  const boxes: PictureNode[] = [];
  const names: string[] = [];
  const edges: PictureEdge[] = [];
  const places = new Map<Node | ValueName, number>();
  const add = (key: Node | ValueName, box: PictureNode, name: string): number => {
    places.set(key, boxes.length);
    names.push(name);
    return boxes.push(box) - 1;
  };
  for (const node of nodes) {
    const role = roleOf(graph, node);
    add(node, { label: clipped(node.opType), role, mark: pair.markOf(side, node) }, nameOf(node));
  }
  for (const node of nodes) {
    const to = places.get(node)!;
    const isNew = boxes[to]!.mark === 'new';
    node.inputs.forEach((input, i) => {
      const from = sourceOf(input);
      if (from === undefined || edges.some((edge) => edge.from === from && edge.to === to)) return;
      const fromNew = boxes[from]!.mark === 'new';
      const rewired = side === 'after' && !isNew && pair.isRewired(node, i);
      edges.push({ from, to, mark: rewired ? 'rewired' : isNew || fromNew ? 'new' : 'kept' });
    });
  }
  return { picture: { nodes: boxes, edges }, names };

  function sourceOf(input: ValueName): number | undefined {
    const producer = graph.producer(input);
    if (producer !== undefined && places.has(producer)) return places.get(producer);
    if (places.has(input)) return places.get(input);
    if (input === '') return undefined;
    if (producer !== undefined) {
      if (pair.shapes[side].has(producer)) return undefined;
      const label = clipped(lastOf(scopeOf(graph, producer)?.path) ?? producer.opType);
      return add(input, { label, role: '', mark: 'value' }, input);
    }
    const isInput = graph.inputs.has(input);
    const isNewWeight =
      side === 'after' && NEW_WEIGHT.test(input) && !pair.before.hasValue(pair.nameBefore(input));
    if (!isInput && !isNewWeight) return undefined;
    const label = isInput ? input : input.split('.').slice(-2).join('.');
    const isNew = side === 'after' && !pair.before.hasValue(pair.nameBefore(input));
    return add(
      input,
      {
        label: clipped(label),
        role: isNew ? (isInput ? 'new input' : 'new weight') : 'input',
        mark: 'value',
      },
      input,
    );
  }
}

const LONGEST_LABEL = 24;

function clipped(text: string): string {
  return text.length > LONGEST_LABEL ? `${text.slice(0, LONGEST_LABEL - 1)}…` : text;
}

function nameOf(node: Node): string {
  return node.name === '' || node.name === node.id ? node.id : `${node.name} → ${node.id}`;
}

/** The layer that a node is (to_q, to_k, to_out.0), or what it is called within the adapter's scope. */
function roleOf(graph: Graph, node: Node): string {
  const scope = scopeOf(graph, node)?.path ?? '';
  const layer = /(?:^|\.)(to_(?:out\.\d+|\w+))$/.exec(scope)?.[1];
  if (layer !== undefined) return clipped(layer);
  const within = /^\/ip_adapter\/(.+?)(?:_output_0)?$/.exec(node.id)?.[1];
  if (within !== undefined) return clipped(within);
  return /\/ip(?:_\d+)?_output_0$/.test(node.id) ? 'image attention' : '';
}

function lastOf(path: string | undefined): string | undefined {
  return path?.split('.').at(-1);
}
