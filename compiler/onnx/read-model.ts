import { IpgraftError } from '../errors.js';
import type { ByteSource } from '../io/byte-source.js';
import { type Field, fields, integer, text } from '../wire/fields.js';
import { loadSparse } from '../wire/load-sparse.js';
import type { Rope } from '../wire/rope.js';
import { Graph } from './graph.js';
import { Initializer } from './initializer.js';
import { Node } from './node.js';
import { FUNCTION, GRAPH, MODEL, modelMessage, OPSET } from './schema.js';
import { readEntry } from './tensor-header.js';
import { ValueInfo } from './value-info.js';

/** A model file: its bytes as a rope, and the graph they hold. */
export interface Model {
  readonly source: ByteSource;
  /** The whole file; what is large is still in `source`. */
  readonly file: Rope;
  readonly graph: Graph;
}

/**
 * Reads what a model file says and leaves its weights where they are.
 * @throws IpgraftError `WIRE_TRUNCATED`, `WIRE_MALFORMED`, `MODEL_NOT_ONNX`, `MODEL_EMPTY`
 */
export async function readModel(source: ByteSource): Promise<Model> {
  await refuseOtherFiles(source);
  const file = await loadSparse(source, modelMessage);
  const modelFields = fields(file);
  const graphField = onlyGraph(source, modelFields);
  return { source, file, graph: readGraph(file, modelFields, graphField) };
}

/** Files that people hand over by mistake, told by how they begin. */
async function refuseOtherFiles(source: ByteSource): Promise<void> {
  if (source.size === 0) throw notOnnx(source, 'an empty file');
  const bytes = await source.read(0, Math.min(source.size, 64));
  const head = new TextDecoder('latin1').decode(bytes);
  if (head.startsWith('version https://git-lfs')) {
    throw notOnnx(source, 'a Git LFS pointer', 'Fetch the real file with `git lfs pull`.');
  }
  if (bytes.every(isTextByte)) throw notOnnx(source, `text (“${head.slice(0, 24).trim()}…”)`);
  if (head.startsWith('PK\x03\x04')) throw notOnnx(source, 'a zip archive');
  if (head[8] === '{' && headerLength(bytes) <= source.size) throw notOnnx(source, 'a safetensors file');
}

/** What the first eight bytes of a safetensors file say: the length of its header. */
function headerLength(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
}

/** No ONNX file goes 64 bytes without a control character: its first tags are some. */
function isTextByte(byte: number): boolean {
  return byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

function onlyGraph(source: ByteSource, modelFields: readonly Field[]): Field {
  const graphs = modelFields.filter((field) => field.number === MODEL.graph);
  if (graphs.length === 0) throw notOnnx(source, 'a protobuf message without a graph');
  // Protobuf merges repeated messages; no exporter writes a model that way, and half a graph must not pass for one.
  if (graphs.length > 1) throw notOnnx(source, `${graphs.length} graphs`);
  if (!modelFields.some((field) => field.number === MODEL.opsetImport))
    throw notOnnx(source, 'a model without opset_import');
  return graphs[0]!;
}

function readGraph(file: Rope, modelFields: readonly Field[], graphField: Field): Graph {
  const graph = file.slice(graphField.payload, graphField.end);
  const nodes: Node[] = [];
  const initializers = new Map<string, Initializer>();
  const inputs = new Map<string, ValueInfo>();
  const outputs = new Map<string, ValueInfo>();
  for (const field of fields(graph)) {
    const content = graph.slice(field.payload, field.end);
    const place = graphField.payload + field.start;
    if (field.number === GRAPH.node) nodes.push(new Node(content, place));
    else if (field.number === GRAPH.initializer) addNamed(initializers, new Initializer(content, place));
    else if (field.number === GRAPH.input) addNamed(inputs, new ValueInfo(content, place));
    else if (field.number === GRAPH.output) addNamed(outputs, new ValueInfo(content, place));
  }
  if (nodes.length === 0) throw new IpgraftError('MODEL_EMPTY', 'sought nodes in the graph, found none');
  const opsetImports = new Map<string, number>();
  const metadata = new Map<string, string>();
  const functions = new Set<string>();
  let irVersion = 0;
  for (const field of modelFields) {
    const content = file.slice(field.payload, field.end);
    if (field.number === MODEL.irVersion) irVersion = integer(file, field);
    else if (field.number === MODEL.opsetImport) opsetImports.set(...readOpset(content));
    else if (field.number === MODEL.metadata) metadata.set(...readEntry(content));
    else if (field.number === MODEL.functions) functions.add(nameOfFunction(content));
  }
  return new Graph({ irVersion, opsetImports, metadata, nodes, initializers, inputs, outputs, functions });
}

function nameOfFunction(message: Rope): string {
  const name = fields(message).find((field) => field.number === FUNCTION.name);
  return name === undefined ? '' : text(message, name);
}

function addNamed<T extends { readonly name: string }>(map: Map<string, T>, item: T): void {
  if (map.has(item.name)) {
    throw new IpgraftError(
      'MODEL_DUPLICATE_NAME',
      `two initializers, inputs or outputs are called “${item.name}”`,
      {
        name: item.name,
      },
    );
  }
  map.set(item.name, item);
}

function readOpset(entry: Rope): [domain: string, version: number] {
  let domain = '';
  let version = 0;
  for (const field of fields(entry)) {
    if (field.number === OPSET.domain) domain = text(entry, field);
    else if (field.number === OPSET.version) version = integer(entry, field);
  }
  return [domain, version];
}

function notOnnx(source: ByteSource, found: string, hint?: string): IpgraftError {
  return new IpgraftError(
    'MODEL_NOT_ONNX',
    `${source.name}: sought an ONNX model, found ${found}`,
    { file: source.name, found },
    hint === undefined ? {} : { hint },
  );
}
