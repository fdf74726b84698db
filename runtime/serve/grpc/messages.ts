import type { MethodDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs/index.js';
import { IpgraftError } from '../../../compiler/errors.js';
import { refusal } from '../protocol/refuse.js';
import { checkHead } from './message-head.js';
import { HEALTH_PROTO, INFERENCE_PROTO } from './proto.js';

/** The service of the Open Inference Protocol, and the one that says whether it is there. */
export const INFERENCE = 'inference.GRPCInferenceService';
export const HEALTH = 'grpc.health.v1.Health';

const root = new protobuf.Root();
for (const text of [INFERENCE_PROTO, HEALTH_PROTO]) protobuf.parse(text, root, { keepCase: true });
// Elements are read by a reader of our own: it makes bytes of them at once, where protobufjs makes an object of each.
const input = root.lookupType('inference.ModelInferRequest.InferInputTensor');
const { contents } = input.fields;
input.remove(contents!);
input.add(new protobuf.Field('contents', contents!.id, 'bytes'));
root.resolveAll();

/** A method of a service as gRPC takes it. Requests are handed on as they came: who may ask is known before they are read. */
export type Method = MethodDefinition<Buffer, object> & {
  /** Reads a request. @throws IpgraftError `SERVER_REQUEST`, `SERVER_TOO_LARGE` */
  readonly read: (bytes: Buffer) => object;
};

/** The methods of a service, by name. */
export function methodsOf(service: typeof INFERENCE | typeof HEALTH): Readonly<Record<string, Method>> {
  const same = (bytes: Buffer) => bytes;
  return Object.fromEntries(
    root.lookupService(service).methodsArray.map((method) => {
      const { name, requestStream, responseStream, resolvedRequestType, resolvedResponseType } = method;
      return [
        name,
        {
          path: `/${service}/${name}`,
          requestStream: requestStream ?? false,
          responseStream: responseStream ?? false,
          requestSerialize: same,
          requestDeserialize: same,
          responseSerialize: (answer: object) => write(resolvedResponseType!, answer),
          responseDeserialize: (bytes: Buffer) => resolvedResponseType!.decode(bytes),
          read: (bytes: Buffer) => read(resolvedRequestType!, bytes),
        },
      ];
    }),
  );
}

function write(type: protobuf.Type, answer: object): Buffer {
  const { buffer, byteOffset, length } = type.encode(type.fromObject(answer)).finish();
  return Buffer.from(buffer, byteOffset, length);
}

function read(type: protobuf.Type, bytes: Buffer): object {
  try {
    checkHead(type.name, bytes);
    // What was not said is there as what it means: '', 0, an empty list.
    const as = { longs: Number, oneofs: true, arrays: true, objects: true, defaults: true };
    return type.toObject(type.decode(bytes), as);
  } catch (error) {
    if (error instanceof IpgraftError) throw error;
    throw refusal(`the message is no ${type.name}`);
  }
}
