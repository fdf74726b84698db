import { IpgraftError } from '../../compiler/errors.js';
import { dataTypeName } from '../../compiler/onnx/data-type.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import type { Model } from '../../compiler/onnx/read-model.js';
import type { ValueInfo } from '../../compiler/onnx/value-info.js';
import { printable } from '../../compiler/printable.js';
import { JOURNAL_KEY } from '../../passes/stamp-metadata.js';
import { type ReadStamp, readStamp } from '../stamp.js';
import { aboutInputs } from './about-inputs.js';
import type { Declared, Dimension } from './template/tensor.js';

/** An input or an output as a client has it. */
export interface ClientValue extends Declared {
  /** What is known of it, a line each. */
  readonly about: readonly string[];
}

/** What a client is made of. */
export interface ClientModel {
  /** Name of the file, without folder. */
  readonly file: string;
  readonly irVersion: number;
  readonly opset: number;
  readonly inputs: readonly ClientValue[];
  readonly outputs: readonly ClientValue[];
}

/** ONNX's names of element types, and a client's. */
const TYPES: Readonly<Record<string, Declared['type']>> = {
  float: 'float32',
  double: 'float64',
  float16: 'float16',
  bfloat16: 'bfloat16',
  int8: 'int8',
  int16: 'int16',
  int32: 'int32',
  int64: 'int64',
  uint8: 'uint8',
  uint16: 'uint16',
  uint32: 'uint32',
  uint64: 'uint64',
  bool: 'bool',
  string: 'string',
};

/** Before this version of the format every initializer is an input too, and none of them may be given. */
const DEFAULTS_SINCE = 4;

/**
 * Reads from a model what a client must know.
 * @throws IpgraftError `MODEL_INTERFACE` for an input or output that is no tensor, or has elements that no client carries
 */
export function readClientModel({ graph, source }: Model): ClientModel {
  const stamp = graph.metadata.has(JOURNAL_KEY) ? stampOf({ graph, source } as Model) : null;
  const about = stamp === null ? new Map<string, string[]>() : aboutInputs(stamp);
  const batch = stamp === null ? null : batchOf(graph, stamp);
  const inputs = [...graph.inputs.values()]
    .filter(({ name }) => graph.irVersion >= DEFAULTS_SINCE || !graph.initializers.has(name))
    .map((input): ClientValue => {
      const { name, type, shape } = declare('input', input);
      const isImages = batch !== null && about.has(name) && name !== stamp!['ipgraft.input'];
      return {
        name,
        type,
        shape: isImages
          ? (shape?.map((size) => (isOwnBatch(size) ? { oneOr: batch } : size)) ?? null)
          : shape,
        ...(graph.initializers.has(name) && { optional: true }),
        about: about.get(name) ?? [],
      };
    });
  const outputs = [...graph.outputs.values()].map((output) => ({ ...declare('output', output), about: [] }));
  return { file: source.name, irVersion: graph.irVersion, opset: graph.opset, inputs, outputs };
}

/** A patched model is described by what it says of its making; what cannot be read says nothing. */
function stampOf(model: Model): ReadStamp | null {
  try {
    return readStamp(model);
  } catch (error) {
    if (error instanceof IpgraftError) return null;
    throw error;
  }
}

/** The name of the text's free batch size, which that of the images is, if it is not 1. */
function batchOf(graph: Graph, stamp: ReadStamp): string | null {
  const size = graph.inputs.get(stamp['ipgraft.input'])?.shape?.[0];
  return typeof size === 'string' && size !== '' ? size : null;
}

/** One name stands for the batches of all adapters, which may differ: one may be 1, another the text's. */
function isOwnBatch(size: Dimension): boolean {
  return size === 'image_batch_size' || size === 'mask_batch_size';
}

function declare(what: 'input' | 'output', { name, dataType, shape }: ValueInfo): Declared {
  const type = TYPES[dataTypeName(dataType)];
  if (type === undefined)
    throw new IpgraftError(
      'MODEL_INTERFACE',
      `${what} “${printable(name)}”: sought a tensor of numbers, truth values or strings, found ${dataType === 0 ? 'no tensor' : dataTypeName(dataType)}`,
      { [what]: name },
    );
  // What is negative or has no name may be anything.
  const sizes = shape?.map((size) => (size === '' || (typeof size === 'number' && size < 0) ? null : size));
  return { name, type, shape: sizes ?? null };
}
