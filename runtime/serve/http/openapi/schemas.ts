import * as z from 'zod/mini';
import { generationRequest } from '../../pictures/generation-request.js';
import { inferRequest } from '../../protocol/request-schema.js';
import { DATATYPE_SIZE, type Datatype } from '../../tensor.js';

const count = z.int().check(z.minimum(0));
const datatype = z.enum(Object.keys(DATATYPE_SIZE) as Datatype[]);
const shape = z.array(z.int().check(z.minimum(-1)));
const version = z.string().check(z.regex(/^\d+$/));

const duration = z.strictObject({ count, ns: count });
const compute = { compute_input: duration, compute_infer: duration, compute_output: duration };
const tensorMetadata = z.strictObject({ name: z.string(), datatype, shape });
const modelStatistics = z.strictObject({
  name: z.string(),
  version,
  last_inference: count,
  inference_count: count,
  execution_count: count,
  inference_stats: z.strictObject({
    success: duration,
    fail: duration,
    queue: duration,
    ...compute,
    cache_hit: duration,
    cache_miss: duration,
  }),
  response_stats: z.strictObject({}),
  batch_stats: z.array(z.strictObject({ batch_size: count, ...compute })),
  memory_usage: z.array(z.unknown()),
});
const configTensor = {
  name: z.string(),
  data_type: z.string().check(z.regex(/^TYPE_/)),
  dims: shape,
};

/** What goes there and back in JSON, by name. Answers are closed, so that none says more than its schema; what clients send is open. */
const SCHEMAS = {
  Error: z.strictObject({ error: z.string() }),
  Nothing: z.strictObject({}),
  ServerLive: z.strictObject({ live: z.literal(true) }),
  ServerReady: z.strictObject({ ready: z.literal(true) }),
  ServerMetadata: z.strictObject({
    name: z.string(),
    version: z.string(),
    extensions: z.array(z.string()),
  }),
  ModelReady: z.strictObject({ name: z.string(), ready: z.literal(true) }),
  TensorMetadata: tensorMetadata,
  ModelMetadata: z.strictObject({
    name: z.string(),
    versions: z.array(version),
    platform: z.string(),
    inputs: z.array(tensorMetadata),
    outputs: z.array(tensorMetadata),
  }),
  ModelConfig: z.looseObject({
    name: z.string(),
    platform: z.string(),
    backend: z.string(),
    max_batch_size: count,
    input: z.array(z.looseObject({ ...configTensor, optional: z.boolean() })),
    output: z.array(z.looseObject(configTensor)),
  }),
  Duration: duration,
  ModelStatistics: modelStatistics,
  Statistics: z.strictObject({ model_stats: z.array(modelStatistics) }),
  InferRequest: inferRequest,
  InferReply: z.strictObject({
    model_name: z.string(),
    model_version: version,
    id: z.string(),
    outputs: z.array(
      z.strictObject({
        name: z.string(),
        datatype,
        shape,
        parameters: z.optional(z.strictObject({ binary_data_size: count })),
        data: z.optional(z.array(z.union([z.number(), z.boolean(), z.string()]))),
      }),
    ),
  }),
  Pipelines: z.strictObject({
    object: z.literal('list'),
    data: z.array(
      z.strictObject({
        id: z.string(),
        object: z.literal('model'),
        created: count,
        owned_by: z.string(),
        pipeline: z.strictObject({
          kind: z.enum(['sd', 'sdxl']),
          width: count,
          height: count,
          multiple: count,
          schedulers: z.array(z.string()),
          scheduler: z.string(),
          inpainting: z.boolean(),
          init_images: z.boolean(),
          masks: z.boolean(),
          limits: z.strictObject({ pixels: count, steps: count, pictures: count, prompt: count }),
          adapters: z.array(
            z.strictObject({
              name: z.string(),
              family: z.nullable(z.string()),
              images: count,
              encoder: z.boolean(),
              scale: z.enum(['fixed', 'one', 'layers']),
              default: z.number(),
              layers: z.array(z.strictObject({ path: z.string(), id: count })),
            }),
          ),
        }),
      }),
    ),
  }),
  GenerationRequest: generationRequest,
  Generated: z.strictObject({
    created: count,
    data: z.array(z.strictObject({ b64_json: z.string(), seed: count, index: count })),
    size: z.string(),
    output_format: z.enum(['png', 'jpeg', 'webp']),
    scheduler: z.string(),
    steps: count,
    seconds: z.number(),
    warnings: z.array(z.string()),
  }),
  OpenAiError: z.strictObject({
    error: z.strictObject({
      message: z.string(),
      type: z.string(),
      param: z.nullable(z.string()),
      code: z.nullable(z.string()),
    }),
  }),
  IndexRequest: z.looseObject({ ready: z.optional(z.boolean()) }),
  RepositoryIndex: z.array(
    z.strictObject({
      name: z.string(),
      version: z.optional(version),
      state: z.enum(['READY', 'LOADING', 'UNLOADING', 'UNAVAILABLE']),
      reason: z.string(),
    }),
  ),
  LoadRequest: z.looseObject({ parameters: z.nullish(z.strictObject({})) }),
  UnloadRequest: z.looseObject({ parameters: z.nullish(z.looseObject({})) }),
  TraceSettings: z.strictObject({
    trace_level: z.array(z.string()),
    trace_rate: z.string(),
    trace_count: z.string(),
    log_frequency: z.string(),
    trace_file: z.string(),
  }),
  LogSettings: z.strictObject({
    log_file: z.string(),
    log_info: z.boolean(),
    log_warning: z.boolean(),
    log_error: z.boolean(),
    log_verbose_level: count,
    log_format: z.string(),
  }),
  Settings: z.looseObject({}),
  Description: z.looseObject({ openapi: z.string(), info: z.looseObject({}), paths: z.looseObject({}) }),
};

/** A name in `#/components/schemas`. */
export type SchemaName = keyof typeof SCHEMAS;

/** Where a schema is in the document. */
export function schemaAt(name: string): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

let made: Readonly<Record<string, object>> | undefined;

/** The schemas as JSON Schema 2020-12, which OpenAPI 3.1 speaks. Made once. */
export function jsonSchemas(): Readonly<Record<string, object>> {
  if (made !== undefined) return made;
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, {
    // What clients may send: objects are open unless they are said to be closed.
    io: 'input',
    uri: (id) => schemaAt(id).$ref,
    override: ({ jsonSchema }) => {
      // What any integer of JSON is below.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  // Their places are their names already.
  made = Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema, $id, ...schema }]) => [name, schema]),
  );
  return made;
}
