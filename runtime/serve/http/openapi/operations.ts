import type { SchemaName } from './schemas.js';

/** Statuses of errors that an operation has of its own; those of tokens, limits and names are added where the server has such. */
export type ErrorStatus = 400 | 403 | 404 | 413 | 415 | 500 | 501 | 503 | 504;

/** What a route does. */
export interface Operation {
  readonly tag: 'health' | 'server' | 'models' | 'inference' | 'pictures' | 'repository' | 'not served';
  readonly summary: string;
  readonly description?: string;
  /** JSON that may come with the request; every body may also be left out. */
  readonly body?: SchemaName;
  /** Media type and schema of the answer; `null` where it is no JSON. Absent where there is none but errors. */
  readonly reply?: readonly [type: string, schema: SchemaName | null];
  readonly errors?: readonly ErrorStatus[];
}

const json = (schema: SchemaName) => ['application/json', schema] as const;
const BODY_ERRORS = [400, 413, 415] as const;
const MODEL_ERRORS = [400, 404, 503] as const;
const MEMORY = {
  tag: 'not served',
  errors: [501],
  description: 'Shared memory is not served.',
} as const;

/** Every operation of the server, by the name that its route gives. The one place where it is described. */
export const OPERATIONS = {
  page: {
    tag: 'server',
    summary: 'A page for people: pictures where a pipeline is served, or models and requests to copy',
    reply: ['text/html; charset=utf-8', null],
  },
  description: {
    tag: 'server',
    summary: 'This document',
    reply: json('Description'),
  },
  serverLive: { tag: 'health', summary: 'Whether the server lives', reply: json('ServerLive') },
  serverReady: {
    tag: 'health',
    summary: 'Whether requests should come',
    description: '503 when the server is about to end.',
    reply: json('ServerReady'),
    errors: [503],
  },
  serverMetadata: {
    tag: 'server',
    summary: 'Name, version and extensions of the server',
    reply: json('ServerMetadata'),
  },
  metrics: {
    tag: 'server',
    summary: 'Metrics in Prometheus’ text format, under Triton’s names',
    reply: ['text/plain; version=0.0.4', null],
  },
  modelReady: {
    tag: 'health',
    summary: 'Whether a model answers',
    reply: json('ModelReady'),
    errors: MODEL_ERRORS,
  },
  modelMetadata: {
    tag: 'models',
    summary: 'Inputs and outputs of a model',
    reply: json('ModelMetadata'),
    errors: MODEL_ERRORS,
  },
  modelConfig: {
    tag: 'models',
    summary: 'Triton’s configuration of a model, as far as it says something here',
    reply: json('ModelConfig'),
    errors: MODEL_ERRORS,
  },
  modelStatistics: {
    tag: 'models',
    summary: 'How many requests a model answered, how many not, and how long they took',
    reply: json('Statistics'),
    errors: MODEL_ERRORS,
  },
  statistics: { tag: 'models', summary: 'Statistics of all models', reply: json('Statistics') },
  infer: {
    tag: 'inference',
    summary: 'Run a model',
    description:
      'Tensors come as JSON, or as bytes behind it: then `Inference-Header-Content-Length` says where the JSON ends, and the inputs have ' +
      '`binary_data_size` in the place of `data`. Outputs go out in the same ways, as `binary_data` of each asks.',
    body: 'InferRequest',
    reply: json('InferReply'),
    errors: [...BODY_ERRORS, 404, 500, 503, 504],
  },
  pipelines: {
    tag: 'pictures',
    summary: 'The pipelines, as OpenAI lists models',
    reply: json('Pipelines'),
  },
  generatePictures: {
    tag: 'pictures',
    summary: 'Make pictures',
    description:
      'OpenAI’s fields, and more of our own. With `stream` the answer is `text/event-stream`, with events `image_generation.queued`, `.started`, `.step`, ' +
      '`.partial_image` and `.completed`, and `error`.',
    body: 'GenerationRequest',
    reply: json('Generated'),
    errors: [...BODY_ERRORS, 404, 500, 503, 504],
  },
  repositoryIndex: {
    tag: 'repository',
    summary: 'The models of the folder, and their state',
    body: 'IndexRequest',
    reply: json('RepositoryIndex'),
    errors: BODY_ERRORS,
  },
  loadModel: {
    tag: 'repository',
    summary: 'Load a model, or load it again',
    body: 'LoadRequest',
    reply: json('Nothing'),
    errors: [...BODY_ERRORS, 403, 404, 501, 503],
  },
  unloadModel: {
    tag: 'repository',
    summary: 'Unload a model',
    body: 'UnloadRequest',
    reply: json('Nothing'),
    errors: [...BODY_ERRORS, 403, 404, 503],
  },
  traceSettings: {
    tag: 'server',
    summary: 'Settings of tracing, which is off',
    reply: json('TraceSettings'),
  },
  changeTraceSettings: {
    tag: 'not served',
    summary: 'Settings of tracing cannot be changed',
    body: 'Settings',
    errors: [413, 415, 501],
  },
  logSettings: { tag: 'server', summary: 'Settings of the log', reply: json('LogSettings') },
  changeLogSettings: {
    tag: 'not served',
    summary: 'Settings of the log cannot be changed',
    body: 'Settings',
    errors: [413, 415, 501],
  },
  sharedMemoryStatus: { ...MEMORY, summary: 'Regions of shared memory' },
  registerSharedMemory: {
    ...MEMORY,
    summary: 'Register a region',
    body: 'Settings',
    errors: [413, 415, 501],
  },
  unregisterSharedMemory: {
    ...MEMORY,
    summary: 'Unregister a region',
    body: 'Settings',
    errors: [413, 415, 501],
  },
} as const satisfies Readonly<Record<string, Operation>>;

/** The name of an operation. */
export type OperationName = keyof typeof OPERATIONS;
