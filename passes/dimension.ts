import type { Fragment } from '../compiler/edit/fragment.js';
import type { ValueName } from '../compiler/onnx/node.js';

/**
 * One dimension of a value as int64 [1]. By Gather, whose result is known to have one element where the rank of the value is not known: some
 * exports lose it, and Resize then refuses sizes of unknown number.
 */
export function dimensionOf(fragment: Fragment, value: ValueName, axis: number): ValueName {
  return fragment.node('Gather', [fragment.node('Shape', [value]), fragment.integers([axis])]);
}
