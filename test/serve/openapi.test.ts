import assert from 'node:assert/strict';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type AnySchemaObject } from 'ajv/dist/2020.js';
import { createHttpServer } from '../../runtime/serve/http/server.js';
import { RateLimit } from '../../runtime/serve/rate-limit.js';
import type { Service } from '../../runtime/serve/service.js';
import { echoModel, failing } from './echo-model.js';
import { type Answer, ask, startServer, stopServers } from './http-server.js';
import { pipelinesFolder, startPictureServer } from './picture-server.js';

interface Response {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, { readonly schema?: AnySchemaObject }>>;
}
interface Documented {
  readonly operationId: string;
  readonly security: readonly object[];
  readonly responses: Readonly<Record<string, Response>>;
  readonly requestBody?: {
    readonly content: Readonly<
      Record<
        string,
        {
          readonly schema?: AnySchemaObject;
          readonly examples?: Readonly<Record<string, { value: unknown }>>;
        }
      >
    >;
  };
}
// biome-ignore lint/suspicious/noExplicitAny: what it says is for the tests to check
type OpenApi = any;

const X = { name: 'x', datatype: 'FP32', shape: [-1, 3], symbols: ['rows', null], optional: false } as const;
const HALF = { name: 'h', datatype: 'FP16', shape: [2], optional: false } as const;
const SCALAR = { name: 't', datatype: 'INT64', shape: [], optional: true } as const;

/** Every operation of a document. */
function operations(document: OpenApi): [method: string, path: string, Documented][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Documented>).map(
      ([method, operation]): [string, string, Documented] => [method.toUpperCase(), path, operation],
    ),
  );
}

/** Holds values to schemas of a document. */
function schemasOf(document: OpenApi) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addSchema(document, 'openapi');
  return (schema: AnySchemaObject, value: unknown): string[] => {
    const within = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/'));
    const check = ajv.compile(within);
    return check(value) ? [] : check.errors!.map((error) => `${error.instancePath} ${error.message}`);
  };
}

/** Holds an answer to what a document says of its operation and status: body, media type and headers. */
function checkAnswer(document: OpenApi, [method, path]: readonly [string, string], answer: Answer): void {
  const operation: Documented = document.paths[path][method.toLowerCase()];
  const where = `${method} ${path} ${answer.status}`;
  const said = operation.responses[answer.status];
  assert.ok(said !== undefined, `${where}: not among ${Object.keys(operation.responses)}`);
  const response: Response =
    said.$ref === undefined ? said : document.components.responses[said.$ref.split('/').at(-1)!];
  const type = answer.headers.get('content-type')!;
  assert.ok(type in response.content!, `${where}: ${type}`);
  const { schema } = response.content![type]!;
  if (type === 'application/json') assert.deepEqual(schemasOf(document)(schema!, answer.json), [], where);
  assert.ok(answer.headers.has('x-request-id'));
  for (const name of ['inference-header-content-length', 'retry-after', 'www-authenticate'])
    if (answer.headers.has(name))
      assert.ok(
        Object.keys(response.headers ?? {}).some((each) => each.toLowerCase() === name),
        `${where}: ${name}`,
      );
}

/** Methods and paths of a tree of routes as Fastify prints it, the methods that are only refused among them. */
function registeredIn(tree: string): string[] {
  const above: string[] = [];
  return [...tree.matchAll(/^([│ ]*)[├└]── (\S+) \((.*)\)$/gm)].flatMap(([, indent, part, methods]) => {
    above.splice(indent!.length / 4, Number.POSITIVE_INFINITY, part!);
    const path = above.join('').replace(/:(\w+)/g, '{$1}');
    return methods!.split(', ').map((method) => `${method} ${path}`);
  });
}

/** A path with values. */
function filled(path: string, model = 'm'): string {
  return path.replace('{model}', model).replace('{version}', '1').replace('{region}', 'r');
}

/** Open to everybody, and not asked so often that they are not counted. */
const PAGES = ['/', '/models'];

describe('the OpenAPI document', () => {
  afterEach(stopServers);

  it('is one, by the schema of OpenAPI 3.1, with models and without, with tokens and without', async () => {
    for (const [models, options] of [
      [{ m: echoModel([X, SCALAR]), half: echoModel([HALF]) }, {}],
      [{}, { modelControl: 'explicit', token: 'user', adminToken: 'admin' }],
      [{ m: echoModel() }, { token: 'user', rateLimit: new RateLimit({ count: 1000, ms: 1000 }) }],
    ] as const) {
      const { url } = await startServer(models, options);
      const headers = { authorization: 'Bearer user' };
      const { status, json } = await ask(`${url}/openapi.json`, { headers });
      assert.equal(status, 200);
      const validator = new Validator();
      assert.deepEqual(await validator.validate(json), { valid: true });
      assert.equal(validator.version, '3.1');
      const ids = operations(json).map(([, , { operationId }]) => operationId);
      assert.equal(new Set(ids).size, ids.length);
    }
  });

  it('has every route that is registered, and no other', async () => {
    const repository = { ready: [], index: async () => [] } as unknown as Service['repository'];
    const pictures = { pipelines: [], list: { object: 'list', data: [] } } as unknown as Service['pictures'];
    const service = {
      repository,
      pictures,
      isDraining: false,
      modelControl: 'explicit',
      timeout: 1000,
    } as Service;
    const app = await createHttpServer(service, { maxBody: 1000 });
    await app.ready();
    const registered = registeredIn(app.printRoutes({ commonPrefix: false }));
    const { json } = await app.inject('/openapi.json').then((reply) => ({ json: reply.json() }));
    const described = operations(json).map(([method, path]) => `${method} ${path}`);
    assert.ok(registered.length > 100);
    for (const each of described) assert.ok(registered.includes(each), each);
    for (const each of registered) {
      const [method, path] = each.split(' ') as [string, string];
      if (described.includes(each)) continue;
      const { statusCode } = await app.inject({
        method: method as 'GET',
        url: filled(path),
        headers: { 'sec-fetch-site': 'none' },
      });
      // HEAD goes wherever GET goes.
      if (method === 'HEAD') assert.ok(described.includes(`GET ${path}`), each);
      else assert.equal(statusCode, 405, each);
    }
    await app.close();
  });

  it('answers of every operation are as it says', async () => {
    const model = echoModel([X, SCALAR]);
    const { url } = await startServer({ m: model, half: echoModel([HALF]) }, { modelControl: 'none' });
    const { json: document } = await ask(`${url}/openapi.json`);
    const seen = new Set<string>();
    const check = async (method: string, path: string, body?: unknown, init: object = {}) => {
      const at = operations(document).find(([m, p]) => m === method && p === path)!;
      const answer = await ask(url + filled(path), {
        method,
        ...(method === 'POST' && { body: body ?? '' }),
        ...init,
      });
      checkAnswer(document, [at[0], at[1]], answer);
      seen.add(`${method} ${path} ${answer.status}`);
      return answer;
    };
    const request = {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }],
      outputs: [{ name: 'x_out' }],
    };
    for (const [method, path] of operations(document))
      await check(method, path, /infer$/.test(path) ? request : undefined);
    const infer = '/v2/models/{model}/infer';
    assert.equal(
      (
        await check('POST', infer, {
          ...request,
          outputs: [{ name: 'x_out', parameters: { binary_data: true } }],
        })
      ).status,
      200,
    );
    for (const [status, body, init] of [
      [400, { inputs: 1 }, {}],
      [413, Buffer.alloc(2 * 1024 * 1024, ' '), {}],
      [415, request, { headers: { 'content-encoding': 'br' } }],
      [403, request, { headers: { origin: 'https://evil.example' } }],
    ] as const)
      assert.equal((await check('POST', infer, body, init)).status, status);
    for (const [status, code] of [
      [500, 'RUNTIME_RUN'],
      [503, 'SERVER_BUSY'],
      [504, 'SERVER_TIMEOUT'],
    ] as const) {
      model.next.push(failing(code, 'failed'));
      assert.equal((await check('POST', infer, request)).status, status);
    }
    const unknown = await ask(`${url}/v2/models/nothing/infer`, { body: request });
    assert.equal(unknown.status, 404);
    checkAnswer(document, ['POST', infer], unknown);
    // All that succeed have done so.
    for (const [method, path, { responses }] of operations(document))
      if ('200' in responses && !/repository\/models|images/.test(path))
        assert.ok(seen.has(`${method} ${path} 200`), path);
  });

  it('pictures too', async () => {
    const { url } = await startPictureServer(await pipelinesFolder({ fox: [[]] }));
    const { json: document } = await ask(`${url}/openapi.json`);
    const path = '/v1/images/generations';
    for (const [body, status, init] of [
      [{ prompt: 'a fox', steps: 1, n: 2 }, 200, {}],
      [{ prompt: 'a fox', steps: 1, stream: true }, 200, {}],
      [{ prompt: 1 }, 400, {}],
      [{ prompt: 'a fox' }, 403, { headers: { origin: 'https://evil.example' } }],
      [{ prompt: 'a fox', model: 'nothing' }, 404, {}],
      [Buffer.alloc(2 * 1024 * 1024, ' '), 413, {}],
      [{ prompt: 'a fox' }, 415, { headers: { 'content-encoding': 'br' } }],
    ] as const) {
      const answer = await ask(url + path, { body, ...init });
      assert.equal(answer.status, status);
      checkAnswer(document, ['POST', path], answer);
    }
    checkAnswer(document, ['GET', '/v1/models'], await ask(`${url}/v1/models`));
  });

  it('loading and unloading too', async () => {
    const { url } = await startServer({ m: echoModel([X]) }, { modelControl: 'explicit' });
    const { json: document } = await ask(`${url}/openapi.json`);
    for (const [verb, name, body, status] of [
      ['load', 'm', {}, 200],
      ['load', 'm', { parameters: { config: '{}' } }, 501],
      ['load', 'nothing', {}, 404],
      ['unload', 'm', { parameters: { unload_dependents: false } }, 200],
      ['unload', 'nothing', {}, 404],
      ['load', 'a b', {}, 400],
    ] as const) {
      const answer = await ask(`${url}/v2/repository/models/${encodeURIComponent(name)}/${verb}`, { body });
      assert.equal(answer.status, status);
      checkAnswer(document, ['POST', `/v2/repository/models/{model}/${verb}`], answer);
    }
    const unloaded = await ask(`${url}/v2/models/m/infer`, { body: {} });
    assert.equal(unloaded.status, 503);
    checkAnswer(document, ['POST', '/v2/models/{model}/infer'], unloaded);
  });

  it('an operation asks for the token that the server asks for, and says so', async () => {
    const tokens = { token: 'user', adminToken: 'admin', modelControl: 'explicit' } as const;
    const rateLimit = new RateLimit({ count: 10_000, ms: 1000 });
    const { url } = await startServer({ m: echoModel([X]) }, { ...tokens, rateLimit });
    assert.equal((await ask(`${url}/openapi.json`)).status, 401);
    const { json: document } = await ask(`${url}/openapi.json`, {
      headers: { authorization: 'Bearer user' },
    });
    assert.deepEqual(Object.keys(document.components.securitySchemes), ['token', 'adminToken']);
    for (const [method, path, { security, responses }] of operations(document)) {
      const answer = await ask(url + filled(path), { method, ...(method === 'POST' && { body: '' }) });
      assert.equal(answer.status === 401, security.length > 0, `${method} ${path}`);
      assert.equal('401' in responses, security.length > 0, `${method} ${path}`);
      assert.equal('429' in responses, PAGES.includes(path) || security.length > 0, `${method} ${path}`);
      if (answer.status === 401) checkAnswer(document, [method, path], answer);
      const user = await ask(url + filled(path), {
        method,
        ...(method === 'POST' && { body: '' }),
        headers: { authorization: 'Bearer user' },
      });
      const isAdminOnly = security.length === 1 && 'adminToken' in security[0]!;
      assert.equal(user.status === 403, isAdminOnly, `${method} ${path}`);
    }
  });

  it('names the models that are loaded, and what they take, in schemas that hold', async () => {
    const { url } = await startServer({ m: echoModel([X, SCALAR]), half: echoModel([HALF]) });
    const { json: document } = await ask(`${url}/openapi.json`);
    assert.deepEqual(document['x-ipgraft-models'], [
      {
        name: 'half',
        version: '1',
        state: 'READY',
        reason: '',
        inputs: [{ name: 'h', datatype: 'FP16', shape: [2], optional: false }],
        outputs: [{ name: 'h_out', datatype: 'FP16', shape: [2] }],
      },
      {
        name: 'm',
        version: '1',
        state: 'READY',
        reason: '',
        inputs: [
          { name: 'x', datatype: 'FP32', shape: ['rows', 3], optional: false },
          { name: 't', datatype: 'INT64', shape: [], optional: true },
        ],
        outputs: [
          { name: 'x_out', datatype: 'FP32', shape: ['rows', 3] },
          { name: 't_out', datatype: 'INT64', shape: [] },
        ],
      },
    ]);
    assert.deepEqual(document.components.parameters.loadedModel.schema.enum, ['half', 'm']);
    const errors = schemasOf(document);
    const schema = { $ref: '#/components/schemas/m.InferRequest' };
    const x = { name: 'x', datatype: 'FP32', shape: [2, 3] };
    for (const inputs of [
      [x],
      [x, { name: 't', datatype: 'INT64', shape: [] }],
      [{ name: 't', datatype: 'INT64', shape: [1] }],
    ])
      assert.deepEqual(errors(schema, { inputs, outputs: [{ name: 'x_out' }] }), []);
    for (const request of [
      {},
      { inputs: [{ ...x, name: 'y' }] },
      { inputs: [{ ...x, datatype: 'FP64' }] },
      { inputs: [{ ...x, shape: [2, 4] }] },
      { inputs: [{ ...x, shape: [3] }] },
      { inputs: [{ ...x, shape: [-1, 3] }] },
      { inputs: [{ name: 't', datatype: 'INT64', shape: [2] }] },
      { inputs: [x], outputs: [{ name: 'y' }] },
    ])
      assert.notDeepEqual(errors(schema, request), [], JSON.stringify(request));
  });

  it('an input of any shape has any', async () => {
    const any = { name: 'a', datatype: 'FP32', shape: [], optional: false, anyShape: true } as const;
    const { url } = await startServer({ m: echoModel([any]) });
    const { json: document } = await ask(`${url}/openapi.json`);
    assert.equal(document['x-ipgraft-models'][0].inputs[0].anyShape, true);
    for (const shape of [[], [1], [2, 3]]) {
      const request = { inputs: [{ name: 'a', datatype: 'FP32', shape }] };
      assert.deepEqual(schemasOf(document)({ $ref: '#/components/schemas/m.InferRequest' }, request), []);
    }
  });

  it('its examples are answered', async () => {
    const { url } = await startServer({
      m: echoModel([X]),
      half: echoModel([{ ...HALF, name: 'Hälfte' }]),
      all: echoModel(),
    });
    const { json: document } = await ask(`${url}/openapi.json`);
    const { content } = document.paths['/v2/models/{model}/infer'].post.requestBody;
    const { schema, examples } = content['application/json'];
    const { m } = examples;
    assert.deepEqual(schemasOf(document)(schema, m.value), []);
    const { status, json } = await ask(`${url}/v2/models/m/infer`, { body: m.value });
    assert.deepEqual([status, json.outputs[0].data], [200, [0, 0, 0]]);
    const { half } = content['application/octet-stream'].examples;
    const [length, tail] = half.description.match(/\d+/g).map(Number);
    const body = Buffer.concat([Buffer.from(half.value), Buffer.alloc(tail)]);
    const headers = { 'inference-header-content-length': `${length}` };
    const binary = await ask(`${url}/v2/models/half/infer`, { body, headers });
    assert.equal(binary.status, 200);
    assert.deepEqual(binary.bytes.subarray(-4), Buffer.alloc(4));
  });
});
