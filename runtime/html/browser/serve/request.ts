import { type ExampleInput, exampleRequest } from '../../../serve/protocol/example-request.js';
import type { Datatype } from '../../../serve/tensor.js';

/** An infer request that is to be written down for somebody. */
export interface RequestTo {
  /** Address of the server, with a slash at the end. */
  readonly base: string;
  readonly model: string;
  /** Whether it must bring a token: written as the variable IPGRAFT_TOKEN, never itself. */
  readonly hasToken: boolean;
  readonly inputs: readonly ExampleInput[];
  readonly outputs: readonly { readonly name: string; readonly datatype: Datatype }[];
}

/** Where it goes. */
export function inferUrl({ base, model }: RequestTo): string {
  return `${base}v2/models/${model}/infer`;
}

/** What is sent, and what comes back. */
export interface Body {
  /** In printable ASCII, a tensor a line. */
  readonly json: string;
  /** Bytes of zeros behind it. */
  readonly tail: number;
  /** Whether outputs come back as bytes behind JSON. */
  readonly hasBinaryReply: boolean;
}

/** The body of a request. */
export function bodyOf({ inputs, outputs }: RequestTo): Body {
  const { json, tail } = exampleRequest(inputs, outputs);
  const lines = (tensors: readonly object[]) => tensors.map((each) => `\n  ${quote(each)}`).join();
  return {
    json: `{"inputs":[${lines(json.inputs)}],\n"outputs":[${lines(json.outputs)}]}`,
    tail,
    hasBinaryReply: json.outputs.some(({ parameters }) => parameters.binary_data),
  };
}

/**
 * A value as JSON, and as JavaScript, in printable ASCII alone: then bytes are characters, and no name from a model changes what a reader
 * sees of it.
 */
export function quote(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
