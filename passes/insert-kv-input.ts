import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { type Branch, type ImageProjectionLayer, projectionsOf } from './branch.js';
import { ImageBatch } from './image-batch.js';
import { type ImageStream, streamsOfAdapter } from './image-stream.js';
import type { CrossAttention } from './locate-cross-attention.js';
import { ADAPTER_SCOPE, adapterSuffix, imageProjectionOf, nodeScope } from './names.js';
import type { Plan } from './plan.js';

/** The graph input, and the output of the model that computes it. */
export const KV_INPUT = 'ip_kv';

/** Where keys and values of one adapter lie in its packed input [B, T, W], along the last axis: by branch, in checkpoint order. */
export interface KvPart extends ImageProjectionLayer {
  readonly attention: CrossAttention;
  readonly from: number;
  readonly to: number;
}

/** The parts of an adapter's packed keys and values; the last one ends at W. */
export function kvParts(branches: readonly Branch[], adapter: number): KvPart[] {
  let end = 0;
  return branches
    .filter(({ stream, isFirst }) => stream.adapter === adapter && isFirst)
    .flatMap(({ attention, weights }) =>
      projectionsOf(attention, weights).map((layer) => {
        const from = end;
        end += layer.width;
        return { ...layer, attention, from, to: end };
      }),
    );
}

/**
 * Adds one input per adapter for image keys and values that were computed before, `ip_kv` [B or 1, T, W], and cuts each cross-attention's out
 * of it. An image's keys and values are the same at every step, so a model of their own computes them once.
 */
export function insertKvInput({ located, grafts, streams, branches }: Plan): Pass {
  return {
    name: 'insert-kv-input',
    summary:
      'adds an input for the keys and values of each adapter’s images, computed once per image by another model',
    run(graph) {
      const names = new NodeNames(graph);
      const shared = new Fragment(names, ADAPTER_SCOPE);
      const batch = new ImageBatch(shared, located.textInput);
      const inputs: Edit[] = [];
      const sites: Edit[] = [];
      grafts.forEach(({ tokens, images }, adapter) => {
        const name = `${KV_INPUT}${adapterSuffix(adapter)}`;
        const parts = kvParts(branches, adapter);
        const { dataType } = parts[0]!.attention;
        const shape = ['image_batch_size', tokens * images, parts.at(-1)!.to];
        inputs.push({ kind: 'insert-input', input: { name, dataType, shape } });
        // One column of all: it takes the batch of the text, or the model refuses.
        const column = shared.node('Slice', [name, ...integers(shared, [0], [1], [2])]);
        batch.spread(column, 1, streamsOfAdapter(streams, adapter));
        let begin = 0;
        for (const stream of streamsOfAdapter(streams, adapter)) {
          const target = shared.node('Shape', [stream.states]);
          for (const part of parts) sites.push(...cut(names, name, part, stream, begin, target));
          begin += stream.tokens;
        }
      });
      return [...inputs, ...shared.edits(null), ...sites];
    },
  };
}

/** One attention's keys or values of one stream, [B, T, h]. */
function cut(
  names: NodeNames,
  input: ValueName,
  { attention, which, from, to }: KvPart,
  stream: ImageStream,
  begin: number,
  target: ValueName,
): Edit[] {
  const { scope, exit } = attention;
  const fragment = new Fragment(names, `${nodeScope(scope)}/to_${which}_ip${adapterSuffix(stream.index)}`);
  const part = fragment.node('Slice', [
    input,
    ...integers(fragment, [begin, from], [begin + stream.tokens, to], [1, 2]),
  ]);
  fragment.node('Expand', [part, target], { output: imageProjectionOf(scope, which, stream.index) });
  return fragment.edits(exit.node);
}

function integers(fragment: Fragment, ...lists: readonly number[][]): ValueName[] {
  return lists.map((list) => fragment.integers(list));
}
