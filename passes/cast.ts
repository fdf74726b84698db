import type { Fragment } from '../compiler/edit/fragment.js';
import { DATA_TYPE, type FloatType } from '../compiler/onnx/data-type.js';
import type { ValueName } from '../compiler/onnx/node.js';

/** A value in another floating type; the value itself where it has that type already. */
export function castTo(fragment: Fragment, value: ValueName, from: FloatType, to: FloatType): ValueName {
  return from === to ? value : fragment.node('Cast', [value], { attributes: { to: DATA_TYPE[to] } });
}
