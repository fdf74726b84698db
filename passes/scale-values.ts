import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, type NodeNames } from '../compiler/edit/fragment.js';
import type { FloatType } from '../compiler/onnx/data-type.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Branch } from './branch.js';
import { castTo } from './cast.js';
import { floatTensor } from './float-tensor.js';
import { ADAPTER_SCOPE, adapterSuffix } from './names.js';
import type { Scale } from './scale.js';

/** The graph input by which a caller scales. */
export const SCALE_INPUT = 'ip_scale';

export interface ScaleOptions {
  readonly scale: Scale;
  readonly adapters: number;
  /** How many cross-attentions the UNet has: the columns of a layer-wise scale. */
  readonly attentions: number;
  /** What each cross-attention's scale is multiplied with, by its id; 1 where nothing is said. */
  readonly factors: ReadonlyMap<number, number>;
}

/** Where each branch finds its factor. */
export class ScaleValues {
  private readonly options: ScaleOptions;
  private readonly fragment: Fragment;
  private readonly head: Edit[] = [];
  private readonly rows = new Map<string, ValueName>();

  constructor(names: NodeNames, options: ScaleOptions) {
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
    const values = new Array<number>(adapters).fill(scale.value);
    this.head.push({
      kind: 'insert-initializer',
      tensor: floatTensor(SCALE_INPUT, 'float', [adapters], values),
    });
  }

  /** What all sites share, in front of the graph. */
  get edits(): Edit[] {
    return [...this.head, ...this.fragment.edits(null)];
  }

  /** The factor of a branch, a scalar or [B, 1, 1], multiplied with `times`; `undefined` stands for 1. */
  of(site: Fragment, { attention, stream }: Branch, times = 1): ValueName | undefined {
    const { scale, factors } = this.options;
    const { id, scope, dataType } = attention;
    const factor = (factors.get(id) ?? 1) * times;
    const constant = (name: string, value: number) =>
      site.tensor(floatTensor(`${scope}.${name}${adapterSuffix(stream.index)}`, dataType, [], [value]));
    if (scale.kind === 'constant') {
      const value = scale.of(stream.adapter, attention) * factor;
      return value === 1 ? undefined : constant('ip_scale', value);
    }
    const row = this.row(stream.adapter, dataType);
    // Columns follow the checkpoint: ids are 1, 3, 5….
    const given =
      scale.kind === 'layers' ? site.node('Gather', [row, this.fragment.integers((id - 1) / 2)]) : row;
    return factor === 1
      ? given
      : site.node('Mul', [given, constant('ip_factor', factor)], { name: 'Mul_factor' });
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
      row = castTo(this.fragment, row, 'float', dataType);
      this.rows.set(key, row);
    }
    return row;
  }
}
