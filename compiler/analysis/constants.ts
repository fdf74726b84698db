import type { Graph } from '../onnx/graph.js';
import { readIntegers } from '../onnx/initializer.js';
import type { Node, ValueName } from '../onnx/node.js';

/** Constants are reached through a few nodes at most (Identity, Transpose, Cast, DequantizeLinear); more is no constant to us. */
const DEEPEST = 8;

/** Whether a value is the same at every run: an initializer that no caller can override, or computed from such alone. */
export function isConstant(graph: Graph, value: ValueName, depth = 0): boolean {
  if (graph.initializers.has(value)) return !graph.inputs.has(value);
  const node = graph.producer(value);
  if (node === undefined || depth > DEEPEST) return false;
  return node.inputs.every((input) => input === '' || isConstant(graph, input, depth + 1));
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
