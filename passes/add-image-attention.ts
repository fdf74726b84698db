import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { NewTensor } from '../compiler/onnx/create.js';
import { DATA_TYPE, type FloatType } from '../compiler/onnx/data-type.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { broken } from '../compiler/run-passes.js';
import { floatTensor } from './float-tensor.js';
import type { Branch } from './insert-image-kv.js';
import { ADAPTER_SCOPE, adapterSuffix, branchExitOf, imageMaskOf, nodeScope } from './names.js';
import type { Scale } from './scale.js';

const NAME = 'add-image-attention';
const SCALE_INPUT = 'ip_scale';

export interface AddOptions {
  readonly branches: readonly Branch[];
  readonly adapters: number;
  /** How many cross-attentions the UNet has: the columns of a layer-wise scale. */
  readonly attentions: number;
  readonly scale: Scale;
  /** Whether every stream has a mask. */
  readonly masks: boolean;
}

/**
 * `Z = Attn(Q, K, V) + Σ λ · m ⊙ Attn(Q, K', V')` at every cross-attention, in front of to_out: the scaled branch is added to
 * the value that to_out.0 reads, so that to_out's weight and bias work once on the sum.
 *
 * Source: equation 5 of “IP-Adapter” (Ye et al. 2023, arXiv:2308.06721).
 */
export function addImageAttention(options: AddOptions): Pass {
  const { branches, scale, masks } = options;
  return {
    name: NAME,
    summary: 'scales the image attention and adds it to the text attention in front of to_out',
    run(graph) {
      const names = new NodeNames(graph);
      const scales = new ScaleValues(names, options);
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
        const factor = scales.of(fragment, branch);
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
      return [...scales.edits, ...[...sums.values()].flat(), ...rewires];
    },
    ensures(before, after) {
      for (const { attention } of branches) {
        const { node, input, value } = attention.exit;
        if (after.producer(node)?.inputs[input] === value)
          throw broken(NAME, `${attention.scope} still reads the text attention alone`);
      }
      const fromCaller = scale.kind !== 'constant';
      if (fromCaller && !before.inputs.has(SCALE_INPUT) && !after.inputs.has(SCALE_INPUT))
        throw broken(NAME, 'no scale input');
      if (scale.kind === 'optional' && !after.initializers.has(SCALE_INPUT))
        throw broken(NAME, 'the scale input has no default');
    },
  };
}

/** Where each branch finds its factor. */
class ScaleValues {
  private readonly options: AddOptions;
  private readonly fragment: Fragment;
  private readonly head: Edit[] = [];
  private readonly rows = new Map<string, ValueName>();

  constructor(names: NodeNames, options: AddOptions) {
    this.options = options;
    this.fragment = new Fragment(names, ADAPTER_SCOPE);
    const { scale, adapters, attentions } = options;
    if (scale.kind === 'constant') return;
    const shape = { input: [], optional: [], layers: [attentions], rows: ['batch_size'] }[scale.kind];
    this.head.push({
      kind: 'insert-input',
      input: { name: SCALE_INPUT, dataType: 'float', shape: [adapters, ...shape] },
    });
    if (scale.kind !== 'optional') return;
    const tensor: NewTensor = floatTensor(
      SCALE_INPUT,
      'float',
      [adapters],
      new Array(adapters).fill(scale.value),
    );
    this.head.push({ kind: 'insert-initializer', tensor });
  }

  /** What all sites share, in front of the graph. */
  get edits(): Edit[] {
    return [...this.head, ...this.fragment.edits(null)];
  }

  /** The factor of a branch, a scalar or [B, 1, 1]; `undefined` stands for 1. */
  of(site: Fragment, { attention, stream: { adapter } }: Branch): ValueName | undefined {
    const { scale } = this.options;
    if (scale.kind === 'constant') {
      const value = scale.of(adapter, attention);
      return value === 1
        ? undefined
        : site.tensor(
            floatTensor(
              `${attention.scope}.ip_scale${adapterSuffix(adapter)}`,
              attention.dataType,
              [],
              [value],
            ),
          );
    }
    const row = this.row(adapter, attention.dataType);
    // Columns follow the checkpoint: ids are 1, 3, 5….
    return scale.kind === 'layers'
      ? site.node('Gather', [row, this.fragment.integers((attention.id - 1) / 2)])
      : row;
  }

  /** What the caller gives for one adapter, in the type in which the attention runs. */
  private row(adapter: number, dataType: FloatType): ValueName {
    const key = `${adapter} ${dataType}`;
    let row = this.rows.get(key);
    if (row === undefined) {
      row = this.fragment.node('Gather', [SCALE_INPUT, this.fragment.integers(adapter)], {
        name: `Gather_scale${adapterSuffix(adapter)}`,
      });
      if (this.options.scale.kind === 'rows')
        row = this.fragment.node('Reshape', [row, this.fragment.integers([-1, 1, 1])]);
      if (dataType !== 'float')
        row = this.fragment.node('Cast', [row], { attributes: { to: DATA_TYPE[dataType] } });
      this.rows.set(key, row);
    }
    return row;
  }
}
