import type { ModelInterface } from '../backend.js';
import { isBinaryOnly, type Tensor } from '../tensor.js';
import { checkBinaryData } from './binary-data.js';
import { parseJson } from './json.js';
import { encodeJsonData } from './json-data.js';
import { rawInput } from './raw-request.js';
import { quoted, refusal } from './refuse.js';
import { askedOutputs, checkInputs, timeoutOf } from './request-parts.js';
import { checkRequest, type Parameter, parametersOf, type RequestJson } from './request-schema.js';
import { named } from './shape.js';

/** An output that a request asks for. */
export interface RequestedOutput {
  readonly name: string;
  /** Whether its elements go behind the JSON. */
  readonly binary: boolean;
}

/** An infer request, whichever form it came in. */
export interface InferRequest {
  /** The client's name for it; an empty one is none. */
  readonly id?: string;
  readonly inputs: readonly Tensor[];
  /** In the order in which they are to be answered; all of the model's where the request names none. */
  readonly outputs: readonly RequestedOutput[];
  /** Milliseconds that the client waits. */
  readonly timeout?: number;
}

type Outputs = ModelInterface['outputs'];

/**
 * Reads an infer request of the Open Inference Protocol with Triton's binary tensor extension. Whether the inputs fit the model is for the
 * model to say.
 * @param body the whole body, decompressed
 * @param headerLength what `Inference-Header-Content-Length` says: bytes of JSON before the tensors; absent when all is JSON, 0 when all is one
 *   tensor
 * @throws IpgraftError `SERVER_REQUEST`
 */
export function parseInferRequest(
  body: Uint8Array,
  headerLength: string | undefined,
  model: ModelInterface,
): InferRequest {
  const length = headerLength === undefined ? body.length : lengthOf(headerLength, body.length);
  if (headerLength !== undefined && length === 0)
    return {
      inputs: [rawInput(body, model.inputs)],
      outputs: model.outputs.map(({ name }) => ({ name, binary: true })),
    };
  const json = checkRequest(parseJson(body.subarray(0, length)));
  const parameters = parametersOf(json.parameters);
  const timeout = timeoutOf(parameters);
  return {
    ...(json.id && { id: json.id }),
    ...(timeout !== undefined && { timeout }),
    inputs: inputsOf(json, body.subarray(length)),
    outputs: outputsOf(json, parameters.get('binary_data_output'), model.outputs),
  };
}

function lengthOf(header: string, bodyLength: number): number {
  const length = /^\d{1,15}$/.test(header) ? Number(header) : Number.NaN;
  if (length <= bodyLength) return length;
  throw refusal(
    `Inference-Header-Content-Length: sought 0 to ${bodyLength}, the body's bytes, found ${quoted(header)}`,
  );
}

/** The inputs, with bytes from the JSON or, in their order, from what lies behind it. */
function inputsOf({ inputs }: RequestJson, tail: Uint8Array): Tensor[] {
  checkInputs(inputs.map(({ name, parameters }) => ({ name, parameters: parametersOf(parameters) })));
  let at = 0;
  const tensors = inputs.map(({ name, datatype, shape, parameters, data }): Tensor => {
    const metadata = { name, datatype, shape };
    const size = parametersOf(parameters).get('binary_data_size');
    if (size === undefined) return { ...metadata, data: encodeJsonData(metadata, data) };
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
      throw refusal(
        `${named('input', metadata)}: binary_data_size: sought a number of bytes, found ${quoted(String(size))}`,
      );
    if (data !== undefined)
      throw refusal(`${named('input', metadata)}: sought data or binary_data_size, found both`);
    if (size > tail.length - at)
      throw refusal(
        `${named('input', metadata)}: sought ${size} bytes behind the JSON, found ${tail.length - at}`,
      );
    const bytes = tail.subarray(at, at + size);
    at += size;
    checkBinaryData(metadata, bytes);
    return { ...metadata, data: bytes };
  });
  if (at === tail.length) return tensors;
  throw refusal(
    `${tail.length - at} bytes lie behind the last input: sought ${at} bytes behind the JSON, found ${tail.length}`,
  );
}

function outputsOf(
  { outputs }: RequestJson,
  byDefault: Parameter | undefined,
  known: Outputs,
): RequestedOutput[] {
  const asked = (outputs ?? []).map(({ name, parameters }) => ({
    name,
    parameters: parametersOf(parameters),
  }));
  return askedOutputs(asked, known).map(({ output, parameters }) => {
    const { name, datatype } = output;
    const binary = flag(`output ${quoted(name)}: binary_data`, parameters.get('binary_data') ?? byDefault);
    if (!binary && isBinaryOnly(datatype))
      throw refusal(
        `${named('output', output)}: ${datatype} has no JSON form: ask for this output with binary_data`,
      );
    return { name, binary };
  });
}

function flag(what: string, value: Parameter | undefined): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw refusal(`${what}: sought true or false, found ${quoted(String(value))}`);
}
