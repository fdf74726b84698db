import { dataTypeName, type FloatType, isFloatType } from '../onnx/data-type.js';
import type { Graph } from '../onnx/graph.js';
import type { Node, ValueName } from '../onnx/node.js';
import { isConstant, weightOf } from './constants.js';

/** A linear layer `y = x · W` in whatever form an exporter, an optimiser or a quantizer left it. */
export interface LinearLayer {
  /** The multiplication. */
  readonly node: Node;
  /** x in floats: in front of a dynamic quantizer, when there is one. */
  readonly input: ValueName;
  /** y in floats: behind the dequantizer and the bias, when there are any. */
  readonly output: ValueName;
  /** The initializer that holds W [in, out] in floats; `null` when it is packed, quantized or computed. */
  readonly weight: ValueName | null;
  readonly inputWidth: number;
  readonly outputWidth: number;
  /** The type of y. */
  readonly dataType: FloatType;
}

/** A quantizer that finds its scale at run time; what it reads are floats, what it gives only integers multiply. */
export const DYNAMIC_QUANTIZER = 'DynamicQuantizeLinear';

/**
 * Reads a multiplication as a linear layer: `MatMul` with a float weight (an initializer, a Constant, or either behind
 * Identity, Cast, Transpose or DequantizeLinear), `MatMulNBits`, or `DynamicQuantizeLinear` → `MatMulInteger` → `Cast` → `Mul`.
 * `undefined` when it is none of these.
 */
function linearLayer(graph: Graph, node: Node): LinearLayer | undefined {
  if (weightOf(graph, node) === undefined) return undefined;
  const [input, weight] = node.inputs as [ValueName, ValueName];
  if (node.opType === 'MatMulNBits') {
    const [inputWidth, outputWidth] = ['K', 'N'].map((name) => Number(node.attribute(name)?.i ?? 0)) as [
      number,
      number,
    ];
    const dataType = floatTypeOf(graph, node.inputs[2] ?? '');
    return (
      dataType && {
        node,
        input,
        output: behindBias(graph, node.id),
        weight: null,
        inputWidth,
        outputWidth,
        dataType,
      }
    );
  }
  const tensor = constantTensor(graph, weight);
  if (tensor === undefined || tensor.dims.length !== 2) return undefined;
  const [inputWidth, outputWidth] = tensor.dims as [number, number];
  if (node.opType === 'MatMulInteger') {
    const quantizer = graph.producer(input);
    const output = dequantized(graph, node);
    if (quantizer?.opType !== DYNAMIC_QUANTIZER || output === undefined) return undefined;
    const floats = quantizer.inputs[0]!;
    return {
      node,
      input: floats,
      output: behindBias(graph, output),
      weight: null,
      inputWidth,
      outputWidth,
      dataType: 'float',
    };
  }
  if (node.opType !== 'MatMul' || !isFloatType(tensor.dataType)) return undefined;
  const dataType = dataTypeName(tensor.dataType) as FloatType;
  return {
    node,
    input,
    output: behindBias(graph, node.id),
    weight: tensor.initializer,
    inputWidth,
    outputWidth,
    dataType,
  };
}

/** The layers that one reading of a value leads to: the node itself, or those behind a dynamic quantizer. */
export function layersAt(graph: Graph, node: Node): LinearLayer[] {
  const nodes =
    node.opType === DYNAMIC_QUANTIZER ? graph.uses(node.outputs[0]!).map((use) => use.node) : [node];
  return nodes.flatMap((each) => linearLayer(graph, each) ?? []);
}

/** What a constant tensor says of itself. */
export interface ConstantTensor {
  readonly dims: readonly number[];
  readonly dataType: number;
  /** Its initializer, when nothing stands between. */
  readonly initializer: ValueName | null;
}

/** Shape and type of a constant, through what may stand between it and its reader. */
export function constantTensor(graph: Graph, value: ValueName): ConstantTensor | undefined {
  const initializer = graph.initializers.get(value);
  if (initializer !== undefined)
    return { dims: initializer.dims, dataType: initializer.dataType, initializer: value };
  const node = graph.producer(value);
  if (node === undefined) return undefined;
  if (node.opType === 'Constant') {
    const [tensor] = node.tensors();
    return tensor && { dims: tensor.dims, dataType: tensor.dataType, initializer: null };
  }
  const from = constantTensor(graph, node.inputs[0] ?? '');
  if (from === undefined) return undefined;
  switch (node.opType) {
    case 'Identity':
      return from;
    case 'Cast':
      return { ...from, dataType: Number(node.attribute('to')?.i ?? 0), initializer: null };
    case 'Transpose':
      return { ...from, dims: from.dims.toReversed(), initializer: null };
    case 'DequantizeLinear': {
      const scale = constantTensor(graph, node.inputs[1] ?? '');
      return scale && { ...from, dataType: scale.dataType, initializer: null };
    }
    default:
      return undefined;
  }
}

function floatTypeOf(graph: Graph, value: ValueName): FloatType | undefined {
  const dataType = constantTensor(graph, value)?.dataType ?? 0;
  return isFloatType(dataType) ? (dataTypeName(dataType) as FloatType) : undefined;
}

/** Integer products become floats by a Cast and a Mul with the scales. */
function dequantized(graph: Graph, node: Node): ValueName | undefined {
  const cast = onlyReader(graph, node.id);
  const scaled = cast?.opType === 'Cast' ? onlyReader(graph, cast.id) : undefined;
  return scaled?.opType === 'Mul' ? scaled.id : undefined;
}

/** A bias belongs to its layer: image projections have none. */
function behindBias(graph: Graph, product: ValueName): ValueName {
  const add = onlyReader(graph, product);
  if (add?.opType !== 'Add') return product;
  const other = add.inputs.find((input) => input !== product);
  return other !== undefined && isConstant(graph, other) ? add.id : product;
}

function onlyReader(graph: Graph, value: ValueName): Node | undefined {
  const uses = graph.uses(value);
  return uses.length === 1 ? uses[0]!.node : undefined;
}
