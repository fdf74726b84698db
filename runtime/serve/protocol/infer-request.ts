import type { ModelInterface } from '../backend.js';
import { isBinaryOnly, type Tensor } from '../tensor.js';
import { checkBinaryData } from './binary-data.js';
import { parseJson } from './json.js';
import { encodeJsonData } from './json-data.js';
import { rawInput } from './raw-request.js';
import { quoted, refusal } from './refuse.js';
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
  refuseReserved(parameters);
  const timeout = timeoutOf(parameters.get('timeout'));
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

function refuseReserved(parameters: ReadonlyMap<string, Parameter>): void {
  for (const [name, value] of parameters) {
    if (name.startsWith('triton_')) throw refusal(`parameter ${quoted(name)} is reserved`);
    // Answered without its state, a sequence would be wrong and look right.
    if (name.startsWith('sequence_') && value)
      throw refusal('sequences are not served: send requests without sequence_id');
  }
}

/** Microseconds in the protocol; 0 is none. */
function timeoutOf(value: Parameter | undefined): number | undefined {
  if (value === undefined || value === 0) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value / 1000;
  throw refusal(`parameter “timeout”: sought microseconds, found ${quoted(String(value))}`);
}

/** The inputs, with bytes from the JSON or, in their order, from what lies behind it. */
function inputsOf({ inputs }: RequestJson, tail: Uint8Array): Tensor[] {
  const seen = new Set<string>();
  let at = 0;
  const tensors = inputs.map(({ name, datatype, shape, parameters, data }): Tensor => {
    const metadata = { name, datatype, shape };
    if (seen.has(name)) throw refusal(`input ${quoted(name)} is there twice`);
    seen.add(name);
    const given = parametersOf(parameters);
    refuseSharedMemory(`input ${quoted(name)}`, given);
    const size = given.get('binary_data_size');
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
  const wanted = outputs?.length ? outputs : known.map(({ name }) => ({ name, parameters: undefined }));
  const seen = new Set<string>();
  return wanted.map(({ name, parameters }) => {
    if (seen.has(name)) throw refusal(`output ${quoted(name)} is asked for twice`);
    seen.add(name);
    const output = known.find((each) => each.name === name);
    if (output === undefined)
      throw refusal(
        `output ${quoted(name)}: the model has none of this name: sought one of ${known.map((each) => each.name).join(', ')}`,
      );
    const given = parametersOf(parameters);
    refuseSharedMemory(`output ${quoted(name)}`, given);
    if (given.get('classification')) throw refusal(`output ${quoted(name)}: classification is not served`);
    const binary = flag(`output ${quoted(name)}: binary_data`, given.get('binary_data') ?? byDefault);
    if (!binary && isBinaryOnly(output.datatype))
      throw refusal(
        `${named('output', output)}: ${output.datatype} has no JSON form: ask for this output with binary_data`,
      );
    return { name, binary };
  });
}

function flag(what: string, value: Parameter | undefined): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw refusal(`${what}: sought true or false, found ${quoted(String(value))}`);
}

function refuseSharedMemory(what: string, parameters: ReadonlyMap<string, Parameter>): void {
  if (parameters.has('shared_memory_region'))
    throw refusal(`${what}: shared memory is not served: send the tensor itself`);
}
