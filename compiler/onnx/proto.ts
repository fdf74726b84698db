import onnxProto from 'onnx-proto';

/**
 * onnx-proto's message classes (ONNX 1.10). They read what ipgraft must understand and encode what ipgraft creates;
 * they never re-encode a record of the base, because they would drop the fields of newer ONNX versions.
 */
export const onnx = onnxProto.onnx;
export type AttributeProto = onnxProto.onnx.AttributeProto;
