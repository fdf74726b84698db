import type { Node } from '../compiler/onnx/node.js';

const QUANTIZERS: ReadonlySet<string> = new Set([
  'QuantizeLinear',
  'DequantizeLinear',
  'DynamicQuantizeLinear',
]);

/**
 * Whether a node turns floats into integers or back. Image branches go around them: the ranges were calibrated on text, and
 * an image that does not fit into them would be clipped without a word.
 */
export function isQuantizer(node: Node): boolean {
  return QUANTIZERS.has(node.opType);
}
