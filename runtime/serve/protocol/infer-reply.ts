import type { Tensor } from '../tensor.js';
import type { RequestedOutput } from './infer-request.js';
import { jsonData } from './json-data.js';

/** What a reply is about. */
export interface ReplyHeader {
  readonly model: string;
  readonly version: string;
  readonly id: string;
}

/** The body of a reply, and where its JSON ends when tensors lie behind it. */
export interface InferReply {
  readonly body: Buffer;
  /** Bytes, for `Inference-Header-Content-Length`; absent when all is JSON. */
  readonly headerLength?: number;
}

/**
 * Writes the reply to an infer request: JSON, then the bytes of those outputs that were asked for in binary form, in the order of the JSON.
 * @param outputs in the order of `requested`
 * @throws IpgraftError `SERVER_REQUEST` for an output that JSON cannot carry
 */
export function writeInferReply(
  { model, version, id }: ReplyHeader,
  requested: readonly RequestedOutput[],
  outputs: readonly Tensor[],
): InferReply {
  const described = outputs.map((output, i) => {
    const { name, datatype, shape, data } = output;
    const about = JSON.stringify({ name, datatype, shape }).slice(0, -1);
    return requested[i]!.binary
      ? `${about},"parameters":{"binary_data_size":${data.length}}}`
      : `${about},"data":${jsonData(output)}}`;
  });
  const about = JSON.stringify({ model_name: model, model_version: version, id }).slice(0, -1);
  const json = Buffer.from(`${about},"outputs":[${described.join()}]}`);
  const tail = outputs.filter((_, i) => requested[i]!.binary).map(({ data }) => data);
  if (tail.every(({ length }) => length === 0)) return { body: json };
  return { body: Buffer.concat([json, ...tail]), headerLength: json.length };
}
