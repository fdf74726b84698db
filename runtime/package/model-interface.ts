import { IpgraftError } from '../../compiler/errors.js';
import { dataTypeName } from '../../compiler/onnx/data-type.js';
import type { ValueInfo } from '../../compiler/onnx/value-info.js';
import type { OpenedModel } from '../open.js';
import type { ModelInterface } from '../serve/backend.js';
import type { Datatype, TensorMetadata } from '../serve/tensor.js';

/** ONNX's names of element types that a server of the protocol takes. bfloat16 is none that Triton's backend for ONNX knows. */
const DATATYPES: Readonly<Record<string, Datatype>> = {
  bool: 'BOOL',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  float16: 'FP16',
  float: 'FP32',
  double: 'FP64',
  string: 'BYTES',
};

/**
 * What a model takes and gives as its file declares it, free dimensions as −1; inputs with a default are optional.
 * @throws IpgraftError `PACKAGE_TENSOR` for an input or output without a shape, or of a type that servers do not take
 */
export function modelInterface({ graph, source }: Pick<OpenedModel, 'graph' | 'source'>): ModelInterface {
  const of = (value: ValueInfo) => metadata(value, source.name);
  return {
    // Before IR 4 every initializer is listed among the inputs too, and none can be overridden.
    inputs: [...graph.inputs.values()]
      .filter(({ name }) => graph.irVersion >= 4 || !graph.initializers.has(name))
      .map((input) => ({ ...of(input), optional: graph.initializers.has(input.name) })),
    outputs: [...graph.outputs.values()].map(of),
  };
}

function metadata({ name, dataType, shape }: ValueInfo, file: string): TensorMetadata {
  const type = dataTypeName(dataType);
  const datatype = DATATYPES[type];
  if (shape === null || datatype === undefined) {
    const found = shape === null ? 'no shape' : type;
    throw new IpgraftError(
      'PACKAGE_TENSOR',
      `${file}: “${name}”: sought a shape and one of ${Object.keys(DATATYPES).join(', ')}, found ${found}`,
      { name, found },
    );
  }
  return {
    name,
    datatype,
    shape: shape.map((size) => (typeof size === 'number' ? size : -1)),
    symbols: shape.map((size) => (typeof size === 'string' ? size : null)),
  };
}
