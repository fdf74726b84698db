import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import type { Branch } from './branch.js';
import { adapterSuffix, branchExitOf, imageMaskOf, nodeScope } from './names.js';
import { SCALE_INPUT, type ScaleOptions, ScaleValues } from './scale-values.js';

const NAME = 'add-image-attention';

export interface AddOptions {
  readonly branches: readonly Branch[];
  /** `null` where the keys and values are scaled already. */
  readonly scales: ScaleOptions | null;
  /** Whether every stream has a mask. */
  readonly masks: boolean;
}

/**
 * `Z = Attn(Q, K, V) + Σ λ · m ⊙ Attn(Q, K', V')` at every cross-attention, in front of to_out: the scaled branch is added to
 * the value that to_out.0 reads, so that to_out's weight and bias work once on the sum.
 *
 * Source: equation 5 of “IP-Adapter” (Ye et al. 2023, arXiv:2308.06721).
 */
export function addImageAttention({ branches, scales: scaleOptions, masks }: AddOptions): Pass {
  return {
    name: NAME,
    summary: 'scales the image attention and adds it to the text attention in front of to_out',
    run(graph) {
      const names = new NodeNames(graph);
      const scales = scaleOptions && new ScaleValues(names, scaleOptions);
      const sums = new Map<ValueName, Edit[]>();
      const results = new Map<ValueName, ValueName>();
      for (const branch of branches) {
        const { attention, stream } = branch;
        const { exit, scope } = attention;
        const fragment = new Fragment(names, `${nodeScope(scope)}/ip${adapterSuffix(stream.index)}`);
        const unmasked = branchExitOf(scope, stream.index);
        const unscaled = masks
          ? fragment.node('Mul', [unmasked, imageMaskOf(attention, stream.index)], { name: 'Mul_mask' })
          : unmasked;
        const factor = scales?.of(fragment, branch);
        const scaled = factor === undefined ? unscaled : fragment.node('Mul', [unscaled, factor]);
        results.set(exit.node, fragment.node('Add', [results.get(exit.node) ?? exit.value, scaled]));
        sums.set(exit.node, [...(sums.get(exit.node) ?? []), ...fragment.edits(exit.node)]);
      }
      const rewires = [...new Set(branches.map((branch) => branch.attention))].map(
        ({ exit }): Edit => ({
          kind: 'rewire',
          node: exit.node,
          input: exit.input,
          from: exit.value,
          to: results.get(exit.node)!,
        }),
      );
      return [...(scales?.edits ?? []), ...[...sums.values()].flat(), ...rewires];
    },
    ensures(_, after) {
      for (const { attention } of branches) {
        const { node, input, value } = attention.exit;
        if (after.producer(node)?.inputs[input] === value)
          throw broken(NAME, `${attention.scope} still reads the text attention alone`);
      }
      const kind = scaleOptions?.scale.kind ?? 'constant';
      if (kind !== 'constant' && !after.inputs.has(SCALE_INPUT)) throw broken(NAME, 'no scale input');
      if (kind === 'optional' && !after.initializers.has(SCALE_INPUT))
        throw broken(NAME, 'the scale input has no default');
    },
  };
}
