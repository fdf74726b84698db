import { dirname } from 'node:path';
import { type InputFile, inputFile } from '../../../compiler/io/input-file.js';
import { dataTypeName } from '../../../compiler/onnx/data-type.js';
import type { Graph } from '../../../compiler/onnx/graph.js';
import type { Initializer } from '../../../compiler/onnx/initializer.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { writeModel } from '../../../compiler/onnx/write-model.js';
import { bytesOf } from '../../../compiler/wire/segment-bytes.js';
import { type OpenedModel, openModel } from '../../open.js';
import type { Tensor } from '../tensor.js';
import { ARRAY_OF, datatypeOf } from './ort-tensor.js';

/** What a model's file says of its inputs and onnxruntime-node does not. */
export interface InputsRead {
  /** The inputs that a caller need not bring, each with its default. */
  readonly defaults: readonly Tensor[];
  /** The inputs of which not even the rank is said. */
  readonly shapeless: ReadonlySet<string>;
  /** The model without those defaults, so that its callers must bring them; `null` where there are none, and the file will do. */
  readonly bytes: Uint8Array | null;
  /** Where its data files lie. */
  readonly folder: string;
  /** The model's own and those of its data, as they were when they were opened; none where there is no such file. */
  readonly files: readonly InputFile[];
}

/** Since this IR version an initializer with the name of an input is its default; before, every weight had to be an input. */
const FIRST_IR_WITH_DEFAULTS = 4;
/** What protobuf, and so ONNX Runtime, takes in one piece. Bytes. */
const LONGEST_MODEL = 2 ** 31 - 1;

/**
 * Reads the inputs of a model, and takes their defaults out of it: onnxruntime-node hides an input that has one, so that its default would
 * always hold. Large ones stay: they are weights that an exporter listed. A file that cannot be read has nothing to tell; what is wrong with
 * it is ONNX Runtime's to say.
 */
export async function readInputs(path: string): Promise<InputsRead> {
  const opened = await openModel(path).catch(() => null);
  if (opened === null) {
    const files = await inputFile(path).then(
      (file) => [file],
      () => [],
    );
    return { defaults: [], shapeless: new Set(), bytes: null, folder: dirname(path), files };
  }
  try {
    const { graph } = opened;
    const shapeless = new Set(
      [...graph.inputs].flatMap(([name, input]) => (input.shape === null ? [name] : [])),
    );
    const defaults = opened.file.length > LONGEST_MODEL ? [] : defaultsOf(graph);
    const bytes = defaults.length === 0 ? null : await without(opened, defaults);
    return { defaults, shapeless, bytes, folder: dirname(opened.path!), files: opened.files };
  } finally {
    await opened.close();
  }
}

function defaultsOf(graph: Graph): Tensor[] {
  if (graph.irVersion < FIRST_IR_WITH_DEFAULTS) return [];
  return [...graph.initializers.values()]
    .filter(({ name }) => graph.inputs.has(name))
    .flatMap((initializer) => defaultOf(initializer) ?? []);
}

/** The value of a small tensor of numbers; `undefined` for any other. */
function defaultOf(initializer: Initializer): Tensor | undefined {
  const { name, dims, record, external } = initializer;
  const datatype = datatypeOf(ortType(initializer.dataType));
  const { bytes } = record;
  if (datatype === undefined || datatype === 'BYTES' || datatype === 'BF16') return undefined;
  if (bytes === undefined || external !== null) return undefined;
  const { rawData, floatData, int32Data, int64Data, doubleData, uint64Data } = onnx.TensorProto.decode(bytes);
  if (rawData.length > 0) return { name, datatype, shape: dims, data: Uint8Array.from(rawData) };
  // One of them holds all elements, of float16 their bits.
  const elements = [floatData, int32Data, int64Data, doubleData, uint64Data].flat();
  const array =
    datatype === 'INT64' || datatype === 'UINT64'
      ? ARRAY_OF[datatype].from(elements.map((element) => BigInt(String(element))))
      : ARRAY_OF[datatype].from(elements.map(Number));
  return { name, datatype, shape: dims, data: new Uint8Array(array.buffer) };
}

/** ONNX's number of a type → ONNX Runtime's name. */
function ortType(dataType: number): string {
  const name = dataTypeName(dataType);
  return name === 'float' ? 'float32' : name === 'double' ? 'float64' : name;
}

/** All bytes of the model but its initializers of these names. */
async function without(opened: OpenedModel, taken: readonly Tensor[]): Promise<Uint8Array> {
  const initializers = new Map(opened.graph.initializers);
  for (const { name } of taken) initializers.delete(name);
  const file = writeModel(opened, opened.graph.with({ initializers }));
  const bytes = new Uint8Array(file.length);
  let filled = 0;
  for (const segment of file.segments) {
    for await (const chunk of bytesOf(segment)) {
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
  }
  return bytes;
}
