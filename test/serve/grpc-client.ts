import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import protobuf from 'protobufjs/index.js';

type Fields = Readonly<Record<string, readonly [number, string]>>;

/** The messages that tests send and read, by the numbers of the published service: written here once more, from nothing of the server's. */
const MESSAGES: Readonly<Record<string, Fields>> = {
  Empty: {},
  Live: { live: [1, 'bool'] },
  Ready: { ready: [1, 'bool'] },
  Named: { name: [1, 'string'], version: [2, 'string'] },
  ServerMetadata: { name: [1, 'string'], version: [2, 'string'], extensions: [3, 'string[]'] },
  TensorMetadata: { name: [1, 'string'], datatype: [2, 'string'], shape: [3, 'int64[]'] },
  ModelMetadata: {
    name: [1, 'string'],
    versions: [2, 'string[]'],
    platform: [3, 'string'],
    inputs: [4, 'TensorMetadata[]'],
    outputs: [5, 'TensorMetadata[]'],
  },
  Parameter: {
    bool_param: [1, 'bool?'],
    int64_param: [2, 'int64?'],
    string_param: [3, 'string?'],
    double_param: [4, 'double?'],
    uint64_param: [5, 'uint64?'],
  },
  Contents: {
    bool_contents: [1, 'bool[]'],
    int_contents: [2, 'int32[]'],
    int64_contents: [3, 'int64[]'],
    uint_contents: [4, 'uint32[]'],
    uint64_contents: [5, 'uint64[]'],
    fp32_contents: [6, 'float[]'],
    fp64_contents: [7, 'double[]'],
    bytes_contents: [8, 'bytes[]'],
  },
  Tensor: {
    name: [1, 'string'],
    datatype: [2, 'string'],
    shape: [3, 'int64[]'],
    parameters: [4, 'map Parameter'],
    contents: [5, 'Contents'],
  },
  Wanted: { name: [1, 'string'], parameters: [2, 'map Parameter'] },
  InferRequest: {
    model_name: [1, 'string'],
    model_version: [2, 'string'],
    id: [3, 'string'],
    parameters: [4, 'map Parameter'],
    inputs: [5, 'Tensor[]'],
    outputs: [6, 'Wanted[]'],
    raw_input_contents: [7, 'bytes[]'],
  },
  InferResponse: {
    model_name: [1, 'string'],
    model_version: [2, 'string'],
    id: [3, 'string'],
    parameters: [4, 'map Parameter'],
    outputs: [5, 'Tensor[]'],
    raw_output_contents: [6, 'bytes[]'],
  },
  StreamResponse: { error_message: [1, 'string'], infer_response: [2, 'InferResponse'] },
  Duration: { count: [1, 'uint64'], ns: [2, 'uint64'] },
  InferStatistics: {
    success: [1, 'Duration'],
    fail: [2, 'Duration'],
    queue: [3, 'Duration'],
    compute_input: [4, 'Duration'],
    compute_infer: [5, 'Duration'],
    compute_output: [6, 'Duration'],
    cache_hit: [7, 'Duration'],
    cache_miss: [8, 'Duration'],
  },
  BatchStatistics: {
    batch_size: [1, 'uint64'],
    compute_input: [2, 'Duration'],
    compute_infer: [3, 'Duration'],
    compute_output: [4, 'Duration'],
  },
  ModelStatistics: {
    name: [1, 'string'],
    version: [2, 'string'],
    last_inference: [3, 'uint64'],
    inference_count: [4, 'uint64'],
    execution_count: [5, 'uint64'],
    inference_stats: [6, 'InferStatistics'],
    batch_stats: [7, 'BatchStatistics[]'],
  },
  Statistics: { model_stats: [1, 'ModelStatistics[]'] },
  IndexRequest: { repository_name: [1, 'string'], ready: [2, 'bool'] },
  IndexRow: { name: [1, 'string'], version: [2, 'string'], state: [3, 'string'], reason: [4, 'string'] },
  Index: { models: [1, 'IndexRow[]'] },
  ChangeRequest: { repository_name: [1, 'string'], model_name: [2, 'string'], parameters: [3, 'map Change'] },
  Change: {
    bool_param: [1, 'bool?'],
    int64_param: [2, 'int64?'],
    string_param: [3, 'string?'],
    bytes_param: [4, 'bytes?'],
  },
  ConfigTensor: { name: [1, 'string'], data_type: [2, 'int32'] },
  Queue: { default_timeout_microseconds: [2, 'uint64'], max_queue_size: [4, 'uint32'] },
  Batching: { default_queue_policy: [6, 'Queue'] },
  Step: {
    model_name: [1, 'string'],
    model_version: [2, 'int64'],
    input_map: [3, 'map string'],
    output_map: [4, 'map string'],
  },
  Ensembling: { step: [1, 'Step[]'] },
  Group: { name: [1, 'string'], count: [2, 'int32'], kind: [4, 'int32'] },
  Text: { string_value: [1, 'string'] },
  WarmupInput: {
    data_type: [1, 'int32'],
    dims: [2, 'int64[]'],
    zero_data: [3, 'bool'],
    random_data: [4, 'bool'],
  },
  Warmup: {
    name: [1, 'string'],
    batch_size: [2, 'uint32'],
    inputs: [3, 'map WarmupInput'],
    count: [4, 'uint32'],
  },
  Flag: { enable: [1, 'bool'] },
  Versions: { versions: [1, 'int64[]'] },
  Policy: { specific: [3, 'Versions'] },
  ModelConfig: {
    name: [1, 'string'],
    platform: [2, 'string'],
    version_policy: [3, 'Policy'],
    max_batch_size: [4, 'int32'],
    input: [5, 'ConfigTensor[]'],
    output: [6, 'ConfigTensor[]'],
    instance_group: [7, 'Group[]'],
    default_model_filename: [8, 'string'],
    dynamic_batching: [11, 'Batching'],
    parameters: [14, 'map Text'],
    ensemble_scheduling: [15, 'Ensembling'],
    model_warmup: [16, 'Warmup[]'],
    backend: [17, 'string'],
    response_cache: [24, 'Flag'],
  },
  Config: { config: [1, 'ModelConfig'] },
  HealthRequest: { service: [1, 'string'] },
  Health: { status: [1, 'int32'] },
};

const root = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    Object.entries(MESSAGES).map(([message, fields]) => [
      message,
      {
        ...choiceOf(fields),
        fields: Object.fromEntries(
          Object.entries(fields).map(([name, [id, type]]) => [name, { id, ...typeOf(type) }]),
        ),
      },
    ]),
  ),
});

/** Those of which one is said. */
function choiceOf(fields: Fields) {
  const oneof = Object.keys(fields).filter((name) => fields[name]![1].endsWith('?'));
  return oneof.length === 0 ? {} : { oneofs: { choice: { oneof } } };
}

function typeOf(type: string) {
  if (type.startsWith('map ')) return { keyType: 'string', type: type.slice(4) };
  if (type.endsWith('?')) return { type: type.slice(0, -1) };
  if (type.endsWith('[]'))
    return {
      rule: 'repeated',
      type: type.slice(0, -2),
      options: { packed: !/string|bytes|^[A-Z]/.test(type) },
    };
  return { type };
}

/** Messages of a method's request and answer. */
const METHODS = {
  ServerLive: ['Empty', 'Live'],
  ServerReady: ['Empty', 'Ready'],
  ModelReady: ['Named', 'Ready'],
  ServerMetadata: ['Empty', 'ServerMetadata'],
  ModelMetadata: ['Named', 'ModelMetadata'],
  ModelInfer: ['InferRequest', 'InferResponse'],
  ModelStreamInfer: ['InferRequest', 'StreamResponse'],
  ModelConfig: ['Named', 'Config'],
  ModelStatistics: ['Named', 'Statistics'],
  RepositoryIndex: ['IndexRequest', 'Index'],
  RepositoryModelLoad: ['ChangeRequest', 'Empty'],
  RepositoryModelUnload: ['ChangeRequest', 'Empty'],
  Check: ['HealthRequest', 'Health'],
  Watch: ['HealthRequest', 'Health'],
} as const;

export type MethodName = keyof typeof METHODS;

/** What a call ended with. */
export interface Outcome {
  /** gRPC's code; 0 is success. */
  readonly code: number;
  readonly details: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a server says is for the test to check
  readonly answer: any;
  readonly trailers: Metadata;
}

/** How a call is made. */
export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /** Milliseconds from now. */
  readonly deadline?: number;
}

/** A message as it travels. */
export function encode(message: string, value: object): Buffer {
  const type = root.lookupType(message);
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}

function decode(message: string, bytes: Buffer): object {
  const type = root.lookupType(message);
  return type.toObject(type.decode(bytes), { longs: Number, defaults: true, arrays: true, objects: true });
}

function pathOf(method: MethodName): string {
  const isHealth = method === 'Check' || method === 'Watch';
  return `/${isHealth ? 'grpc.health.v1.Health' : 'inference.GRPCInferenceService'}/${method}`;
}

function metadataOf(given: CallOptions['metadata']): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(given ?? {})) metadata.set(name, value);
  return metadata;
}

const same = (bytes: Buffer) => bytes;

/** A client of the server's gRPC, its messages its own. */
export class GrpcClient {
  readonly client: Client;

  constructor(url: string, options: object = {}) {
    this.client = new Client(url.replace('grpc://', ''), credentials.createInsecure(), {
      'grpc.enable_http_proxy': 0,
      'grpc.max_receive_message_length': -1,
      // Tests look at what each answer was.
      'grpc.enable_retries': 0,
      ...options,
    });
  }

  /** Calls a method that has one answer. `request` is a message, or bytes in the place of one. */
  call(method: MethodName, request: object = {}, options: CallOptions = {}): Promise<Outcome> {
    return this.begin(method, request, options).ended;
  }

  /** As {@link call}, and how to give it up. */
  begin(method: MethodName, request: object = {}, { metadata, deadline }: CallOptions = {}) {
    const [asked, answered] = METHODS[method];
    const bytes = request instanceof Buffer ? request : encode(asked, request);
    let cancel = () => {};
    const ended = new Promise<Outcome>((resolve) => {
      let answer: object | undefined;
      const call = this.client.makeUnaryRequest(
        pathOf(method),
        same,
        (given: Buffer) => decode(answered, given),
        bytes,
        metadataOf(metadata),
        deadline === undefined ? {} : { deadline: Date.now() + deadline },
        (_: ServiceError | null, value?: object) => {
          answer = value;
        },
      );
      cancel = () => call.cancel();
      call.on('status', ({ code, details, metadata: trailers }) =>
        // The answer comes with the same tick.
        setImmediate(() => resolve({ code, details, answer, trailers })),
      );
    });
    return { ended, cancel };
  }

  /** Opens the stream of infer requests. */
  stream({ metadata, deadline }: CallOptions = {}) {
    const call = this.client.makeBidiStreamRequest(
      pathOf('ModelStreamInfer'),
      (request: object) => (request instanceof Buffer ? request : encode('InferRequest', request)),
      (given: Buffer) => decode('StreamResponse', given),
      metadataOf(metadata),
      deadline === undefined ? {} : { deadline: Date.now() + deadline },
    );
    return collected(call);
  }

  /** Watches the health of a service. */
  watch(service: string) {
    const call = this.client.makeServerStreamRequest(
      pathOf('Watch'),
      (request: object) => encode('HealthRequest', request),
      (given: Buffer) => decode('Health', given),
      { service },
    );
    return collected(call);
  }

  close(): void {
    this.client.close();
  }
}

/** A stream, what came of it, and how it ended. */
function collected<T extends NodeJS.EventEmitter>(call: T) {
  // biome-ignore lint/suspicious/noExplicitAny: what a server says is for the test to check
  const answers: any[] = [];
  call.on('data', (answer) => answers.push(answer));
  call.on('error', () => {});
  const ended = new Promise<{ code: number; details: string }>((resolve) => call.once('status', resolve));
  return { call, answers, ended };
}
