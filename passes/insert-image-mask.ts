import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import { DATA_TYPE } from '../compiler/onnx/data-type.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { castTo } from './cast.js';
import { dimensionOf } from './dimension.js';
import { floatTensor } from './float-tensor.js';
import type { ImageStream } from './image-stream.js';
import type { CrossAttention } from './locate-cross-attention.js';
import { ADAPTER_SCOPE, imageMaskOf, maskGroupOf } from './names.js';

/** The graph input that says where each image counts. */
export const MASK_INPUT = 'ip_mask';

/** The coefficient of Keys' cubic kernel (1981) that PyTorch's bicubic interpolation has. */
const CUBIC_COEFFICIENT = -0.75;

export interface MaskOptions {
  readonly streams: readonly ImageStream[];
  /** The cross-attentions that have a branch. */
  readonly attentions: readonly CrossAttention[];
}

/**
 * Adds the input `ip_mask` [images, 1 or B, H, W], float32, and brings it down to the queries of each block: [1 or B, S, 1] per image.
 *
 * The grid is diffusers': with r = W / H, rows = ⌊√(S / r)⌋, one more where S is no multiple of it, columns = ⌊S / rows⌋;
 * bicubic, then zeros behind the last row where rows · columns < S. It is computed in the graph from each block's own S, in
 * float64 as Python does: with another rounding some latents (56 × 144 at 126 queries) get another grid.
 *
 * Source: `IPAdapterMaskProcessor.downsample` in diffusers' image_processor.py.
 */
export function insertImageMask({ streams, attentions }: MaskOptions): Pass {
  return {
    name: 'insert-image-mask',
    summary: 'adds an input for the masks of the images and brings it down to the queries of each block',
    run(graph) {
      const names = new NodeNames(graph);
      const shared = new Fragment(names, `${ADAPTER_SCOPE}/mask`);
      const ratio = aspectRatio(shared);
      const noScales = resizeWithout(shared, graph.opset);
      const groups = [...groupsOf(graph, attentions)].flatMap(([group, [first]]) => {
        const fragment = new Fragment(names, `${ADAPTER_SCOPE}/mask/${group}`);
        const queries = dimensionOf(fragment, first!.exit.value, 1);
        const mask = downsample(fragment, noScales, queries, ratio);
        const typed = castTo(fragment, mask, 'float', first!.dataType);
        for (const { index } of streams)
          fragment.node('Gather', [typed, fragment.integers(index)], { output: imageMaskOf(first!, index) });
        return fragment.edits(first!.exit.node);
      });
      const shape = [streams.length, 'mask_batch_size', 'mask_height', 'mask_width'];
      return [
        { kind: 'insert-input', input: { name: MASK_INPUT, dataType: 'float', shape } },
        ...shared.edits(null),
        ...groups,
      ];
    },
  };
}

/** Attentions of one block see one resolution; the first of each, in the graph's order, computes the mask for all. */
function groupsOf(graph: Graph, attentions: readonly CrossAttention[]): Map<string, CrossAttention[]> {
  const groups = new Map<string, CrossAttention[]>();
  const position = ({ exit }: CrossAttention) => graph.position(graph.producer(exit.node)!);
  const inGraphOrder = attentions.toSorted((a, b) => position(a) - position(b));
  for (const attention of inGraphOrder) {
    const group = maskGroupOf(attention);
    groups.set(group, [...(groups.get(group) ?? []), attention]);
  }
  return groups;
}

/** W / H of the mask, float64 [1]. */
function aspectRatio(fragment: Fragment): ValueName {
  const size = (axis: number) => asDouble(fragment, dimensionOf(fragment, MASK_INPUT, axis));
  return fragment.node('Div', [size(3), size(2)]);
}

/** `ip_mask` [images, R, H, W] → [images, R, S, 1]. */
function downsample(
  fragment: Fragment,
  noScales: readonly ValueName[],
  queries: ValueName,
  ratio: ValueName,
): ValueName {
  const [zero, one] = integers(fragment, [0], [1]);
  const side = fragment.node('Sqrt', [fragment.node('Div', [asDouble(fragment, queries), ratio])]);
  // A mask many times wider than the latents would have no row at all, and integers cannot be divided by none.
  const atLeastOne = fragment.node('Max', [side, asDouble(fragment, one!)]);
  const floor = fragment.node('Cast', [atLeastOne], { attributes: { to: DATA_TYPE.int64 } });
  const rest = fragment.node('Mod', [queries, floor]);
  const isMultiple = fragment.node('Equal', [rest, zero!]);
  const more = fragment.node('Where', [isMultiple, zero!, one!]);
  const rows = fragment.node('Add', [floor, more]);
  const columns = fragment.node('Div', [queries, rows]);
  const shape = fragment.node('Shape', [MASK_INPUT]);
  const leading = fragment.node('Slice', [shape, ...integers(fragment, [0], [2], [0])]);
  const concat = (parts: readonly ValueName[]) => fragment.node('Concat', parts, { attributes: { axis: 0 } });
  const resized = fragment.node('Resize', [MASK_INPUT, ...noScales, concat([leading, rows, columns])], {
    attributes: {
      mode: 'cubic',
      cubic_coeff_a: { float: CUBIC_COEFFICIENT },
      coordinate_transformation_mode: 'half_pixel',
    },
  });
  const flat = fragment.node('Reshape', [resized, concat([leading, fragment.integers([-1])])]);
  const missing = fragment.node('Sub', [queries, fragment.node('Mul', [rows, columns])]);
  const padded = fragment.node('Pad', [flat, concat([...Array<ValueName>(5).fill(zero!), missing])]);
  return fragment.node('Reshape', [padded, concat([leading, queries, one!])]);
}

/** Resize's inputs for a region and for scales, neither of which is given: before opset 13 they had to be empty, not absent. */
function resizeWithout(fragment: Fragment, opset: number): ValueName[] {
  if (opset >= 13) return ['', ''];
  const empty = fragment.tensor(floatTensor(`${ADAPTER_SCOPE}/mask/empty`, 'float', [0], []));
  return [empty, empty];
}

function integers(fragment: Fragment, ...lists: readonly number[][]): ValueName[] {
  return lists.map((list) => fragment.integers(list));
}

function asDouble(fragment: Fragment, value: ValueName): ValueName {
  return fragment.node('Cast', [value], { attributes: { to: DATA_TYPE.double } });
}
