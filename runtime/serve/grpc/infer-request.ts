import type { WantedInference } from '../answer-inference.js';
import type { ModelInterface } from '../backend.js';
import { checkBinaryData } from '../protocol/binary-data.js';
import { quoted, refusal } from '../protocol/refuse.js';
import { askedOutputs, checkInputs, timeoutOf } from '../protocol/request-parts.js';
import type { Parameter } from '../protocol/request-schema.js';
import { named } from '../protocol/shape.js';
import { DATATYPE_SIZE, type Datatype, type Tensor } from '../tensor.js';
import { readContents } from './tensor-contents.js';

/** A value of one of several types, and which of them it is. */
interface InferParameter {
  readonly parameter_choice?: keyof Omit<InferParameter, 'parameter_choice'>;
  readonly bool_param?: boolean;
  readonly int64_param?: number;
  readonly string_param?: string;
  readonly double_param?: number;
  readonly uint64_param?: number;
}

type Parameters = Readonly<Record<string, InferParameter>>;

interface InferInputTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: Parameters;
  /** An InferTensorContents, as it came. */
  readonly contents: Uint8Array;
}

/** The protocol's message of this name. */
export interface ModelInferRequest {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly InferInputTensor[];
  readonly outputs: readonly { readonly name: string; readonly parameters: Parameters }[];
  readonly raw_input_contents: readonly Uint8Array[];
}

/** What a message asks for. */
export interface AskedInference extends WantedInference {
  /** Whether a stream is to say of the answer that it is the last one. */
  readonly saysFinal: boolean;
}

const SAYS_FINAL = 'triton_enable_empty_final_response';

/**
 * Reads an infer request. Elements come in typed fields or raw, all of a request in the same way. Whether the inputs fit the model is for the
 * model to say.
 * @throws IpgraftError `SERVER_REQUEST`
 */
export function readInferRequest(request: ModelInferRequest, model: ModelInterface): AskedInference {
  const parameters = parametersOf(request.parameters);
  const saysFinal = parameters.get(SAYS_FINAL) === true;
  parameters.delete(SAYS_FINAL);
  const timeout = timeoutOf(parameters);
  return {
    saysFinal,
    ...(timeout !== undefined && { timeout }),
    inputs: inputsOf(request),
    outputs: askedOutputs(request.outputs.map(partOf), model.outputs).map(({ output }) => output),
  };
}

function inputsOf({ inputs, raw_input_contents: raw }: ModelInferRequest): Tensor[] {
  checkInputs(inputs.map(partOf));
  if (raw.length > 0 && raw.length !== inputs.length)
    throw refusal(`raw_input_contents: sought ${inputs.length}, one of each input, found ${raw.length}`);
  return inputs.map(({ name, datatype, shape, contents }, i) => {
    if (!isDatatype(datatype))
      throw refusal(
        `input ${quoted(name)}: datatype: sought one of ${Object.keys(DATATYPE_SIZE).join(', ')}, found ${quoted(datatype)}`,
      );
    const metadata = { name, datatype, shape };
    const data = raw[i];
    if (data === undefined) return { ...metadata, data: readContents(metadata, contents) };
    if (contents.length > 0)
      throw refusal(`${named('input', metadata)}: sought contents or raw_input_contents, found both`);
    checkBinaryData(metadata, data);
    return { ...metadata, data };
  });
}

function isDatatype(text: string): text is Datatype {
  return Object.hasOwn(DATATYPE_SIZE, text);
}

function partOf({ name, parameters }: { readonly name: string; readonly parameters: Parameters }) {
  return { name, parameters: parametersOf(parameters) };
}

/** Parameters by name; a Map, because names are the client's. */
function parametersOf(given: Parameters): Map<string, Parameter> {
  return new Map(
    Object.entries(given).flatMap(([name, parameter]) => {
      const { parameter_choice: choice } = parameter;
      const value = choice === undefined ? undefined : parameter[choice];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
