import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Dimension } from '../compiler/onnx/value-info.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import { BATCH_SCOPE, batchOf, notBatched, resizes } from './batched-inputs.js';
import { MASK_INPUT } from './insert-image-mask.js';
import { swappedStatesOf } from './names.js';
import { SCALE_INPUT } from './scale-values.js';
import { JOURNAL_KEY } from './stamp-metadata.js';

const NAME = 'batch-image-inputs';

/**
 * Gives the inputs that an adapter brought, and that hold for all rows, a value for each row: `ip_scale` [adapters] becomes [B, adapters],
 * [adapters, cross-attentions] becomes [B, adapters, cross-attentions], a scale per row [adapters, B] is turned round, and so is
 * `ip_mask` [images, B, H, W] → [B, images, H, W]. One `Transpose` brings the batch back to where it was read, and a `Reshape` gives each
 * scale the two axes behind it that make it the factor of a row. Image tokens, embeddings, keys and values have a batch as they are.
 *
 * Refused are a scale with a default, which has no batch, and the “precise” weight types, which tell the rows of one picture apart by their place in
 * the batch: rows of several requests would be mixed up.
 */
export function batchImageInputs(): Pass {
  return {
    name: NAME,
    summary: 'gives scales and masks a value for each row of the batch',
    requires(graph) {
      if (graph.producer(swappedStatesOf(0)) !== undefined)
        throw notBatched(
          'a batch',
          'made of negative rows and then positive ones, by a precise weight type: several requests would be mixed up',
        );
      if (broughtInputs(graph).includes(SCALE_INPUT) && graph.initializers.has(SCALE_INPUT))
        throw notBatched(
          `input ${SCALE_INPUT}`,
          'optional, and its default has no batch; compile with --scale input, layers or a number',
        );
    },
    run(graph) {
      const names = new NodeNames(graph);
      return broughtInputs(graph).flatMap((name) => batchInput(graph, names, name));
    },
    ensures(before, after) {
      for (const name of broughtInputs(before)) {
        if (typeof after.inputs.get(name)!.shape![0] !== 'string') throw broken(NAME, `${name} has no batch`);
        const [reader, ...others] = after.uses(name);
        if (others.length > 0 || reader?.node.opType !== 'Transpose')
          throw broken(NAME, `${name} is still read as one for all rows`);
      }
    },
  };
}

/** Those of a patched model that hold for all rows: their first dimension is a number of adapters or images. */
function broughtInputs(graph: Graph): ValueName[] {
  if (!graph.metadata.has(JOURNAL_KEY)) return [];
  return [SCALE_INPUT, MASK_INPUT].filter((name) => typeof graph.inputs.get(name)?.shape?.[0] === 'number');
}

function batchInput(graph: Graph, names: NodeNames, name: ValueName): Edit[] {
  const from = graph.inputs.get(name)!.shape!;
  const readers = graph.uses(name);
  const fragment = new Fragment(names, `${BATCH_SCOPE}/${name}`);
  const isMask = name === MASK_INPUT;
  const to = isMask ? maskShape(graph, from) : scaleShape(graph, from);
  const turned = fragment.node('Transpose', [name], { attributes: { perm: turn(name, to.length) } });
  const value = isMask ? turned : asFactors(fragment, turned, to.slice(1) as number[]);
  return [
    ...fragment.edits(readers[0]!.node.id),
    ...readers.map(
      ({ node, input }): Edit => ({ kind: 'rewire', node: node.id, input, from: name, to: value }),
    ),
    ...resizes(name, from, to),
  ];
}

/** [adapters, …, B] → [adapters, …, B, 1, 1]: what is picked for an adapter, or for one of its cross-attentions, multiplies [B, S, h]. */
function asFactors(fragment: Fragment, turned: ValueName, sizes: readonly number[]): ValueName {
  return fragment.node('Reshape', [turned, fragment.integers([...sizes, -1, 1, 1])]);
}

/** The scale's shape with the batch in front; a scale per row has one already, behind. */
function scaleShape(graph: Graph, shape: readonly Dimension[]): [string, ...number[]] {
  const sizes = shape.filter((size) => typeof size === 'number');
  return [batchOf(graph), ...sizes];
}

/** [images, R, H, W] → [R, images, H, W]. */
function maskShape(graph: Graph, [images, , ...sides]: readonly Dimension[]): Dimension[] {
  return [batchOf(graph), images!, ...sides];
}

/** The axes in the order in which they are read: a scale's batch last, a mask's second. */
function turn(name: ValueName, rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return name === MASK_INPUT ? [1, 0, ...axes.slice(2)] : [...axes.slice(1), 0];
}
