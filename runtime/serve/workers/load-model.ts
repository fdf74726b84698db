import type { InferenceSession } from 'onnxruntime-node';
import { IpgraftError } from '../../../compiler/errors.js';
import { createSession, failingAs, loadRuntime, type Runtime } from '../../session/load-runtime.js';
import type { Tensor, TensorMetadata } from '../tensor.js';
import type { Frame } from './frames.js';
import type { Loaded, LoadOrder, Ran, RunOrder } from './messages.js';
import { datatypeOf, fromOrtTensor, toOrtTensor } from './ort-tensor.js';
import { readInputs } from './read-inputs.js';

/** A model in this process. */
export interface LoadedModel {
  readonly loaded: Loaded;
  /**
   * Runs the model; blocks this process.
   * @throws IpgraftError `SERVER_INPUT` for bytes that are no values of their type, `SERVER_ANSWER_TOO_LARGE`, `RUNTIME_RUN`
   */
  run(order: RunOrder, parts: readonly Uint8Array[]): Promise<Frame<Ran>>;
}

/**
 * Loads a model in onnxruntime-node.
 * @throws IpgraftError `RUNTIME_MISSING`, `RUNTIME_LOAD`
 */
export async function loadModel(order: LoadOrder): Promise<LoadedModel> {
  const ort = await loadRuntime();
  const { defaults, shapeless, bytes, folder, files } = await readInputs(order.model);
  const session = await sessionOf(ort, order, bytes, folder);
  const loaded: Loaded = {
    kind: 'loaded',
    files,
    inputs: session.inputMetadata.map((input) => ({
      ...metadata(input),
      optional: defaults.some(({ name }) => name === input.name),
      anyShape: shapeless.has(input.name),
    })),
    outputs: session.outputMetadata.map(metadata),
  };
  return {
    loaded,
    async run({ inputs, outputs }, parts) {
      const start = process.hrtime.bigint();
      const given = inputs.map((input, index) => ({ ...input, data: parts[index]! }));
      const feeds = Object.fromEntries(
        [...defaults, ...given].map((input) => [input.name, toOrtTensor(ort, input)]),
      );
      const fed = process.hrtime.bigint();
      const results = await failingAs(
        'RUNTIME_RUN',
        () => session.run(feeds, outputs),
        'Its message says why.',
      );
      const computed = process.hrtime.bigint();
      const tensors = outputs.map((name) => fromOrtTensor(name, results[name]!));
      checkSize(tensors, order.maxAnswer);
      const head: Ran = {
        kind: 'ran',
        outputs: tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
        computeInput: Number(fed - start),
        computeInfer: Number(computed - fed),
        computeOutput: Number(process.hrtime.bigint() - computed),
      };
      return { head, parts: tensors.map(({ data }) => data) };
    },
  };
}

/** @throws IpgraftError `SERVER_ANSWER_TOO_LARGE` */
function checkSize(tensors: readonly Tensor[], limit: number): void {
  const bytes = tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
  if (bytes <= limit) return;
  const found = `${bytes} bytes of outputs, which exceed the maximum allowed, ${limit}`;
  throw new IpgraftError('SERVER_ANSWER_TOO_LARGE', found, { bytes, limit });
}

/** A function of its own, so that nothing holds the bytes of a model once it is loaded. */
function sessionOf(
  ort: Runtime,
  { model, threads, provider }: LoadOrder,
  bytes: Uint8Array | null,
  folder: string,
): Promise<InferenceSession> {
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1 };
  return createSession(ort, bytes === null ? model : { bytes, folder }, provider, options);
}

/** What the protocol says of an input or output; free dimensions are −1, and keep their names beside. */
function metadata(value: InferenceSession.ValueMetadata): TensorMetadata {
  const type = value.isTensor ? value.type : 'no tensor';
  const datatype = datatypeOf(type);
  if (datatype === undefined || !value.isTensor)
    throw new IpgraftError('RUNTIME_LOAD', `“${value.name}” is ${type}, which cannot be served`);
  return {
    name: value.name,
    datatype,
    shape: value.shape.map((size) => (typeof size === 'number' ? size : -1)),
    symbols: value.shape.map((size) => (typeof size === 'number' || size === '' ? null : size)),
  };
}
