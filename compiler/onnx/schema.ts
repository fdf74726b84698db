import type { MessageType } from '../wire/load-sparse.js';

/**
 * Field numbers of ONNX's messages, as in onnx/onnx.proto of ONNX 1.23 (IR 14); only those that ipgraft reads or writes.
 * A field that is not listed is not lost: its record travels as it came.
 */
export const MODEL = {
  irVersion: 1,
  producerName: 2,
  graph: 7,
  opsetImport: 8,
  metadata: 14,
  functions: 25,
} as const;
export const FUNCTION = {
  name: 1,
  input: 4,
  output: 5,
  node: 7,
  domain: 10,
  valueInfo: 12,
  overload: 13,
} as const;
export const OPSET = { domain: 1, version: 2 } as const;
export const ENTRY = { key: 1, value: 2 } as const;
export const GRAPH = {
  node: 1,
  name: 2,
  initializer: 5,
  input: 11,
  output: 12,
  valueInfo: 13,
  sparseInitializer: 15,
} as const;
export const NODE = {
  input: 1,
  output: 2,
  name: 3,
  opType: 4,
  attribute: 5,
  docString: 6,
  domain: 7,
  overload: 8,
  metadata: 9,
} as const;
export const ATTRIBUTE = { name: 1, tensor: 5, graph: 6, tensors: 10, graphs: 11 } as const;
export const TENSOR = {
  dims: 1,
  dataType: 2,
  int32Data: 5,
  int64Data: 7,
  name: 8,
  rawData: 9,
  externalData: 13,
  dataLocation: 14,
} as const;
export const VALUE_INFO = { name: 1, type: 2, metadata: 4 } as const;
export const TYPE = { tensor: 1 } as const;
export const TENSOR_TYPE = { elementType: 1, shape: 2 } as const;
export const SHAPE = { dimension: 1 } as const;
export const DIMENSION = { value: 1, parameter: 2 } as const;

const tensorMessage: MessageType = {};
const attributeMessage: Record<number, MessageType> = {
  [ATTRIBUTE.tensor]: tensorMessage,
  [ATTRIBUTE.tensors]: tensorMessage,
};
const nodeMessage: MessageType = { [NODE.attribute]: attributeMessage };
const graphMessage: MessageType = {
  [GRAPH.node]: nodeMessage,
  [GRAPH.initializer]: tensorMessage,
  [GRAPH.sparseInitializer]: { 1: tensorMessage, 2: tensorMessage },
};
// Control flow keeps graphs in attributes: the types are recursive.
attributeMessage[ATTRIBUTE.graph] = graphMessage;
attributeMessage[ATTRIBUTE.graphs] = graphMessage;

/** Where to look inside a ModelProto: everything but the payloads of tensors. */
export const modelMessage: MessageType = {
  [MODEL.graph]: graphMessage,
  [MODEL.metadata]: 'loaded',
  [MODEL.functions]: { [FUNCTION.node]: nodeMessage },
};
