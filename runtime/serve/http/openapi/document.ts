import { VERSION } from '../../../version.js';
import type { Tokens } from '../../access.js';
import type { LoadedModel } from '../../repository/loaded-model.js';
import type { Route } from '../routes.js';
import type { Described } from './described.js';
import { describeModels, inferExample, inferSchema, inferSchemaName } from './models.js';
import { OPERATIONS, type Operation } from './operations.js';
import { errorResponses, HEADERS, PARAMETERS, responsesOf } from './responses.js';
import { jsonSchemas, schemaAt } from './schemas.js';

/**
 * An OpenAPI 3.1 document of the routes that were added, each as {@link OPERATIONS} has it, and of the models that are loaded: their names are
 * the values of the path's parameter, their inputs and outputs a schema and an example of infer requests each.
 */
export function openapiDocument(about: Described): object {
  const { index, loaded, token, adminToken } = about;
  const paths: Record<string, Record<string, object>> = {};
  for (const route of about.routes) {
    const path = pathOf(route);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, about) };
  }
  const bearer = (description: string) => ({ type: 'http', scheme: 'bearer', description });
  const names = loaded.map(({ name }) => name);
  return {
    openapi: '3.1.0',
    info: {
      title: 'ipgraft serve',
      version: VERSION,
      summary: 'ONNX models by the Open Inference Protocol, version 2',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '.', description: 'The server of this document' }],
    tags: [...new Set(Object.values(OPERATIONS).map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: {
        ...jsonSchemas(),
        ...Object.fromEntries(loaded.map((each) => [inferSchemaName(each.name), inferSchema(each)])),
      },
      responses: errorResponses(),
      headers: HEADERS,
      parameters: {
        ...PARAMETERS,
        // Models that are not loaded can be: then their names are no mistake.
        model: { ...PARAMETERS.model, ...(names.length > 0 && { examples: examplesOf(names) }) },
        loadedModel: {
          ...PARAMETERS.model,
          schema: { ...PARAMETERS.model.schema, ...(names.length > 0 && { enum: names }) },
        },
      },
      securitySchemes: {
        ...(token !== undefined && { token: bearer('What --token says') }),
        ...(adminToken !== undefined && {
          adminToken: bearer('What --admin-token says; opens all else too'),
        }),
      },
    },
    'x-ipgraft-models': describeModels(index, loaded),
  };
}

/** `/v2/models/:model` → `/v2/models/{model}` */
function pathOf({ url }: Route): string {
  return url.replace(/:(\w+)/g, '{$1}');
}

function operationOf(route: Route, about: Described): object {
  const { tag, summary, description, body }: Operation = OPERATIONS[route.operation];
  const names = [...route.url.matchAll(/:(\w+)/g)].map((match) => match[1]!);
  const isInfer = route.operation === 'infer';
  const parameters = [
    ...names.map((name) => (name === 'model' && route.operation !== 'loadModel' ? 'loadedModel' : name)),
    ...(isInfer ? ['jsonLength', 'contentEncoding', 'acceptEncoding'] : []),
    'requestId',
  ];
  return {
    operationId: operationId(route, about.routes),
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    security: securityOf(route, about),
    parameters: parameters.map((name) => ({ $ref: `#/components/parameters/${name}` })),
    ...(body !== undefined && {
      requestBody: isInfer
        ? inferBody(about.loaded)
        : { required: false, content: { 'application/json': { schema: schemaAt(body) } } },
    }),
    responses: responsesOf(route, about),
  };
}

/** `infer`, and for the path with a version `infer_version`: the words of a path that the first one of this operation does not have. */
function operationId({ operation, url, method }: Route, routes: readonly Route[]): string {
  const first = routes.find((each) => each.operation === operation && each.method === method)!;
  const had = first.url.split('/');
  const more = url.split('/').filter((each) => !had.includes(each));
  const words = more.filter((each) => each.startsWith(':') || !more.includes(`:${each.replace(/s$/, '')}`));
  return [operation, ...words.map((each) => each.replace(':', ''))].join('_');
}

/** One of these opens the operation; where there is none, it is open. */
function securityOf({ access = 'token' }: Route, { token, adminToken }: Tokens): object[] {
  const admin = adminToken === undefined ? [] : [{ adminToken: [] }];
  if (access === 'open' || (token === undefined && (access === 'token' || admin.length === 0))) return [];
  return access === 'admin' && admin.length > 0 ? admin : [{ token: [] }, ...admin];
}

function inferBody(loaded: readonly LoadedModel[]): object {
  const schemas = loaded.map(({ name }) => schemaAt(inferSchemaName(name)));
  const examples = loaded.map((each) => ({ name: each.name, ...inferExample(each) }));
  const examplesWhere = (isJson: boolean) => {
    const found = examples.filter((each) => each.isJson === isJson);
    return (
      found.length > 0 && { examples: Object.fromEntries(found.map(({ name, example }) => [name, example])) }
    );
  };
  return {
    required: true,
    content: {
      'application/json': {
        schema: schemas.length > 0 ? { anyOf: schemas } : schemaAt('InferRequest'),
        ...examplesWhere(true),
      },
      'application/octet-stream': examplesWhere(false) || {},
    },
  };
}

function examplesOf(names: readonly string[]): object {
  return Object.fromEntries(names.map((name) => [name, { value: name }]));
}
