import type { Graph } from '../onnx/graph.js';
import { readIntegers } from '../onnx/initializer.js';
import type { Node, ValueName } from '../onnx/node.js';

/** A constant is made by a few nodes at most (Identity, Transpose, Cast, DequantizeLinear); what takes more is none to us. */
const MOST_NODES = 32;

/** Whether a value is the same at every run: an initializer that no caller can override, or computed from such alone. */
export function isConstant(graph: Graph, value: ValueName): boolean {
  const seen = new Set<Node>();
  const pending = [value];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next === '' || (graph.initializers.has(next) && !graph.inputs.has(next))) continue;
    const node = graph.producer(next);
    if (node === undefined || seen.size >= MOST_NODES) return false;
    if (!seen.has(node)) pending.push(...node.inputs);
    seen.add(node);
  }
  return true;
}

/** The integers of a small constant: an initializer, a Constant node, or a cast of one. `undefined` where it is something else. */
export function constantIntegers(graph: Graph, value: ValueName): number[] | undefined {
  const initializer = graph.initializers.get(value);
  if (initializer !== undefined) return graph.inputs.has(value) ? undefined : initializer.integers();
  const node = graph.producer(value);
  if (node?.opType === 'Identity') return constantIntegers(graph, node.inputs[0]!);
  if (node?.opType !== 'Constant') return undefined;
  const single = node.attribute('value_int');
  if (single) return [Number(single.i)];
  const list = node.attribute('value_ints');
  if (list) return list.ints.map(Number);
  const tensor = node.attribute('value')?.t;
  if (!tensor) return undefined;
  if (tensor.rawData && tensor.rawData.length > 0) return readIntegers(tensor.rawData, tensor.dataType ?? 0);
  return [...(tensor.int64Data ?? []), ...(tensor.int32Data ?? [])].map(Number);
}

/** Operators that multiply data with a weight, and which input the weight is. */
const WEIGHT_INPUT: Readonly<Record<string, number>> = {
  MatMul: 1,
  Gemm: 1,
  Conv: 1,
  ConvTranspose: 1,
  FusedMatMul: 1,
  FusedConv: 1,
  MatMulInteger: 1,
  MatMulNBits: 1,
  QLinearMatMul: 3,
};

/** The constant with which a node multiplies its data, when it is a linear layer or a convolution. */
export function weightOf(graph: Graph, node: Node): ValueName | undefined {
  const index = WEIGHT_INPUT[node.opType];
  const weight = index === undefined ? undefined : node.inputs[index];
  return weight !== undefined && isConstant(graph, weight) ? weight : undefined;
}
