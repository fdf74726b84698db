import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { Runtime } from '../../session/load-runtime.js';
import { encodeStrings } from '../protocol/json-data.js';
import { DATATYPE_SIZE, type Datatype, type Tensor } from '../tensor.js';
import { unfit } from '../unfit.js';

type OrtType = InferenceSession.TensorValueMetadata['type'];

/**
 * The protocol's name of each type whose tensors onnxruntime-node takes and gives. It has no bfloat16, and does not load a model with
 * one among its inputs or outputs.
 */
const DATATYPE_OF: Readonly<Partial<Record<OrtType, Exclude<Datatype, 'BF16'>>>> = {
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
  float32: 'FP32',
  float64: 'FP64',
  string: 'BYTES',
};

const ORT_TYPE_OF = new Map(
  Object.entries(DATATYPE_OF).map(([type, datatype]) => [datatype as Datatype, type as OrtType]),
);

/** Arrays whose elements have the bits of a type. float16 travels as its bits. */
export const ARRAY_OF = {
  BOOL: Uint8Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

/** `float32` → `FP32`; `undefined` for a type that the protocol, or ONNX Runtime's binding, does not have. */
export function datatypeOf(type: string): Datatype | undefined {
  return DATATYPE_OF[type as OrtType];
}

/**
 * A tensor of ONNX Runtime with the same bits: a view where the bytes are aligned, a copy where not.
 * Shape and length must fit each other already.
 * @throws IpgraftError `SERVER_INPUT` for a BOOL that is neither 0 nor 1, and for BYTES that cannot be a string of ONNX Runtime
 */
export function toOrtTensor(ort: Runtime, tensor: Tensor): OrtTensor {
  const { name, datatype, shape, data } = tensor;
  if (datatype === 'BYTES') return new ort.Tensor('string', stringsIn(tensor), shape);
  const type = ORT_TYPE_OF.get(datatype);
  if (type === undefined || datatype === 'BF16')
    throw unfit(name, 'a type that onnxruntime-node takes', datatype);
  const wrong = datatype === 'BOOL' ? data.find((byte) => byte > 1) : undefined;
  if (wrong !== undefined) throw unfit(name, 'BOOL as bytes 0 and 1', wrong);
  const size = DATATYPE_SIZE[datatype];
  const { buffer, byteOffset, byteLength } = data.byteOffset % size === 0 ? data : Uint8Array.from(data);
  const view = new ARRAY_OF[datatype](buffer as ArrayBuffer, byteOffset, byteLength / size);
  const Constructor = ort.Tensor as new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  return new Constructor(type, view, shape);
}

/** The bits of an output of ONNX Runtime. */
export function fromOrtTensor(name: string, { type, dims, data }: OrtTensor): Tensor {
  const datatype = datatypeOf(type)!;
  if (datatype === 'BYTES') return { name, datatype, shape: dims, data: encodeStrings(data as string[]) };
  const { buffer, byteOffset, byteLength } = data as Exclude<OrtTensor['data'], string[]>;
  return { name, datatype, shape: dims, data: new Uint8Array(buffer, byteOffset, byteLength) };
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The elements of a BYTES tensor, as ONNX Runtime has them: text that ends at a zero byte. */
function stringsIn({ name, shape, data }: Tensor): string[] {
  const count = shape.reduce((product, size) => product * size, 1);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const strings: string[] = [];
  let offset = 0;
  while (offset < data.byteLength && strings.length < count) {
    const start = offset + 4;
    const end = start <= data.byteLength ? start + view.getUint32(offset, true) : start;
    if (end > data.byteLength)
      throw unfit(name, `${count} elements`, `${strings.length}, and ${data.byteLength - offset} bytes`);
    strings.push(textOf(name, data.subarray(start, end)));
    offset = end;
  }
  if (strings.length === count && offset === data.byteLength) return strings;
  throw unfit(name, `${count} elements`, `${strings.length}, and ${data.byteLength - offset} bytes`);
}

function textOf(name: string, bytes: Uint8Array): string {
  if (bytes.includes(0)) throw unfit(name, 'text without zero bytes', 'a zero byte');
  try {
    return UTF8.decode(bytes);
  } catch {
    throw unfit(name, 'text in UTF-8', 'other bytes');
  }
}
