import { instance, type Viz } from '@viz-js/viz';
import type { Edit } from '../compiler/edit/edit.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node } from '../compiler/onnx/node.js';
import { draw, drawTable, type Picture } from './draw-graph.js';
import { passExamples } from './pass-examples.js';
import type { Shapes } from './value-shapes.js';
import { type Step, siteNodes, type WorkedExample } from './worked-example.js';

/** Every picture of the docs, by file name. */
export async function pictures(): Promise<Map<string, string>> {
  const viz = await instance();
  const drawn = new Map<string, string>();
  const examples = await passExamples();
  const split = examples[0]!.example;
  const { after, shapes } = split.steps.at(-1)!;
  const whole = [
    { title: 'before', ...sitePicture(split, split.base, split.baseShapes) },
    { title: 'after', ...sitePicture(split, after, shapes) },
  ];
  drawn.set('site.svg', draw(viz, whole));
  for (const { example, step } of examples) drawn.set(`${step.pass.name}.svg`, drawStep(viz, example, step));
  return drawn;
}

/** What a caller brings for an image. */
const INPUTS = ['ip_scale', 'ip_hidden_states', 'image_embeds', 'ip_mask', 'ip_kv', 'timestep'] as const;

/** One attention with all that the adapter added around it. */
function sitePicture(example: WorkedExample, graph: Graph, shapes: Shapes): Picture {
  const base = siteNodes(example.base, example.attention).map((node) => graph.producer(node.id)!);
  const inserted = new Set(graph.nodes.filter((node) => node.place === null));
  return {
    graph,
    shapes,
    nodes: [...base, ...inserted],
    inserted,
    rewired: readingsMoved(example.base, graph, base),
    values: new Set([example.textInput, ...INPUTS, ...weightsOf(graph)]),
  };
}

/** What one pass did: what it inserted, and around it what that reads and what reads it. */
function drawStep(viz: Viz, example: WorkedExample, step: Step): string {
  const { before, after, edits } = step;
  if (edits.every(({ kind }) => kind === 'set-metadata'))
    return drawTable(viz, 'metadata_props', metadataRows(edits));
  const inserted = new Set(
    after.nodes.filter((node) => node.place === null && before.producer(node.id) === undefined),
  );
  const site = siteNodes(example.base, example.attention).map((node) => after.producer(node.id)!);
  const rewired = readingsMoved(before, after, example.isWhole ? after.nodes : site);
  const clones = new Map<Node, Node>();
  for (const edit of edits) {
    if (edit.kind !== 'insert-node' || !('cloneOf' in edit.node)) continue;
    clones.set(after.producer(edit.node.cloneOf)!, after.producer(edit.node.outputs[0]!)!);
  }
  const near = new Set<Node>([...inserted, ...clones.keys()]);
  for (const node of inserted) for (const input of node.inputs) addTo(near, after.producer(input));
  for (const node of example.isWhole ? after.nodes : site)
    if (node.inputs.some((_, i) => rewired.has(`${node.id}:${i}`))) near.add(node);
  for (const node of clones.keys())
    for (const input of node.inputs)
      addTo(near, site.includes(after.producer(input)!) ? after.producer(input) : undefined);
  const values = new Set([example.textInput, ...INPUTS, ...weightsOf(after)]);
  const nodes = after.nodes.filter((node) => near.has(node));
  return draw(viz, [{ graph: after, shapes: step.shapes, nodes, inserted, rewired, clones, values }]);
}

function addTo(nodes: Set<Node>, node: Node | undefined): void {
  if (node !== undefined) nodes.add(node);
}

function readingsMoved(before: Graph, after: Graph, nodes: readonly Node[]): Set<string> {
  return new Set(
    nodes.flatMap((node) => {
      const old = before.producer(node.id);
      return node.inputs.flatMap((input, i) =>
        old !== undefined && old.inputs[i] !== input && after.producer(node.id) === node
          ? [`${node.id}:${i}`]
          : [],
      );
    }),
  );
}

function weightsOf(graph: Graph): string[] {
  return [...graph.initializers.keys()].filter((name) => /(?:to_[kv]_ip\w*|\.faceid)\.weight$/.test(name));
}

/** Keys and the beginning of what is written under them. */
function metadataRows(edits: readonly Edit[]): [string, string][] {
  return edits.flatMap((edit) =>
    edit.kind === 'set-metadata' ? [[edit.key, shorten(edit.to ?? '')] as [string, string]] : [],
  );
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
