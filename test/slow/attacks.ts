import { gzipSync } from 'node:zlib';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Bytes that a client sends, and what the server may say: statuses, or nothing where it may just close. */
export interface Attack {
  readonly name: string;
  readonly bytes: Buffer;
  readonly statuses: readonly number[];
}

type Pick = <T>(...choices: readonly T[]) => T;

const INFER = '/v2/models/echo/infer';
const BAD = [400];
const input = (more: object = {}) => ({ name: 'x', datatype: 'FP32', shape: [1], data: [1], ...more });
const inputs = (...all: readonly object[]) => ({ inputs: all });
const BOMB = gzipSync(Buffer.alloc(8 * 1024 * 1024));

function request(
  path: string,
  body: string | Buffer,
  headers: readonly string[] = [],
  method = 'POST',
): Buffer {
  const bytes = Buffer.from(body);
  const lines = ['Host: localhost', 'Connection: close', `Content-Length: ${bytes.length}`, ...headers];
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`), bytes]);
}

const infer = (body: object, ...headers: readonly string[]) => request(INFER, JSON.stringify(body), headers);

/** Each kind of attack, in one of its forms. `echo` is a model that gives FP32 `x` of any length back. */
const KINDS: Readonly<Record<string, (pick: Pick) => Omit<Attack, 'name'>>> = {
  'a name that leads elsewhere': (pick) => {
    const name = pick(
      ...['..', '../../etc/passwd', '..%2f..%2fetc%2fpasswd', '%2e%2e/%2e%2e', '..%5c..', '%00', 'echo%00'],
      ...[
        '%2fetc',
        '....//',
        '..;/',
        '%c0%ae%c0%ae',
        '%252e%252e%252f',
        `${'a'.repeat(300)}`,
        '__proto__',
        'constructor',
      ],
    );
    const rest = pick('', '/infer', '/ready', '/config', '/versions/..%2f1', '/versions/__proto__');
    return {
      bytes: request(`/v2/models/${name}${rest}`, '{}', [], pick('GET', 'POST')),
      statuses: [400, 404, 405, 414],
    };
  },
  'a shape whose product is no number': (pick) => {
    const shape = pick(
      ...[
        [2 ** 32, 2 ** 32],
        [2 ** 53, 2],
        [-1],
        [1, -1],
        [1.5],
        ['1'],
        [1e308, 10],
        [0, 2 ** 53],
        null,
        {},
        [[1]],
      ],
      ...[Array.from({ length: 1000 }, () => 2), [Number.MAX_SAFE_INTEGER]],
    );
    const more = pick({}, { data: undefined, parameters: { binary_data_size: pick(0, 4, 2 ** 53, -4) } });
    return { bytes: infer(inputs(input({ shape, ...more }))), statuses: BAD };
  },
  'a length of JSON that is a lie': (pick) => {
    const length = pick('-1', '5', '999999999', '1e3', '0x10', ' ', 'NaN', '9'.repeat(40), '1, 2');
    return { bytes: infer(inputs(input()), `Inference-Header-Content-Length: ${length}`), statuses: BAD };
  },
  'a size of bytes that is a lie': (pick) => {
    const size = pick<unknown>(0, 3, 5, 8, -4, 2 ** 31, 2 ** 53, 1.5, '4', null);
    const json = JSON.stringify(inputs(input({ data: undefined, parameters: { binary_data_size: size } })));
    const headers = [`Inference-Header-Content-Length: ${json.length}`];
    return {
      bytes: request(INFER, Buffer.concat([Buffer.from(json), Buffer.alloc(4)]), headers),
      statuses: BAD,
    };
  },
  'a bomb': (pick) => ({
    bytes: request(pick(INFER, '/v2/repository/index'), BOMB, [`Content-Encoding: ${pick('gzip', 'GZIP')}`]),
    statuses: [413],
  }),
  'a compression that it is not': (pick) => {
    const [encoding, status] = pick<readonly [string, number]>(
      ['gzip', 400],
      ['deflate', 400],
      ['br', 415],
      ['gzip, gzip', 415],
      ['x'.repeat(99), 415],
    );
    return { bytes: infer(inputs(input()), `Content-Encoding: ${encoding}`), statuses: [status] };
  },
  'inputs twice, or strange ones': (pick) => ({
    bytes: infer(
      pick<object>(
        inputs(input(), input()),
        inputs(input(), input({ name: 'y' })),
        inputs(input({ name: '__proto__' })),
        inputs(input({ name: pick('constructor', 'toString', '', 'x'.repeat(5000)) })),
        inputs(input({ datatype: pick('FP16', 'BYTES', 'INT128', '__proto__', 'constructor', null) })),
        inputs(input({ data: pick<unknown>(['1'], [null], [[[1]], 2], [1, 2], {}, 'x', [true], []) })),
        { inputs: pick<unknown>(null, {}, 'x', [null], [[]], []) },
        { ...inputs(input()), outputs: [{ name: 'x_out' }, { name: 'x_out' }] },
        { ...inputs(input()), outputs: [{ name: pick('__proto__', 'none', '') }] },
      ),
    ),
    statuses: BAD,
  }),
  'names of JavaScript’s own': (pick) => {
    const json = JSON.stringify(inputs(input())).slice(0, -1);
    const key = pick('__proto__', 'constructor', 'prototype');
    const value = pick('{"isAdmin":true}', '{"toString":1}', '{"prototype":{"x":1}}');
    return {
      bytes: request(INFER, `${json},"${key}":${value},"parameters":{"${key}":${value}}}`),
      statuses: [200, 400],
    };
  },
  'deep JSON': (pick) => {
    const depth = pick(101, 1000, 100_000);
    const deep = pick(
      '['.repeat(depth) + ']'.repeat(depth),
      `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
      '['.repeat(depth),
    );
    const path = pick(INFER, '/v2/repository/index');
    return {
      bytes: request(path, pick(deep, `{"inputs":${deep}}`, `{"parameters":{"a":${deep}}}`)),
      statuses: BAD,
    };
  },
  'many tiny chunks': (pick) => {
    const body =
      JSON.stringify(inputs(input({ datatype: pick('FP64', 'none') }))) + ' '.repeat(pick(1000, 20_000));
    const chunks = [...body].map((character) => `1\r\n${character}\r\n`).join('');
    const head = `POST ${INFER} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`;
    return { bytes: Buffer.from(`${head}${chunks}${pick('0\r\n\r\n', 'z\r\n\r\n')}`), statuses: BAD };
  },
  'no JSON': (pick) => ({
    bytes: request(
      INFER,
      pick('', '{', '[]', 'null', '1', '"x"', '\u0000', '{"inputs":[}', '\ufeff{}', 'NaN', '{"a":1,}'),
    ),
    statuses: BAD,
  }),
  'no HTTP': (pick) => ({
    bytes: Buffer.from(
      pick(
        'nonsense\r\n\r\n',
        'GET\r\n\r\n',
        'GET / HTTP/9.9\r\nHost: localhost\r\n\r\n',
        `POST ${INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n`,
        `POST ${INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        `GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
        'GET /v2 HTTP/1.1\r\nHost: localhost\r\nX\u0000Y: 1\r\n\r\n',
        `PROPFIND ${INFER} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      ),
    ),
    statuses: [400, 404, 405, 431, 505],
  }),
  'too much': (pick) => ({
    bytes: request(pick(INFER, '/v2/repository/index'), Buffer.alloc(1024 * 1024 + 1, ' ')),
    statuses: [413],
  }),
  'settings that would write files': (pick) => {
    const path = pick('/v2/logging', '/v2/trace/setting', '/v2/systemsharedmemory/region/r/register');
    return {
      bytes: request(path, '{"log_file":"/tmp/evil","trace_file":"/tmp/evil","key":"/evil"}'),
      statuses: [501],
    };
  },
};

/** So many attacks, of all kinds in turn; the seed says in which forms. */
export function attacks(count: number, seed: number): Attack[] {
  const random = xoroshiro128plus(seed);
  const pick: Pick = (...choices) => choices[uniformInt(random, 0, choices.length - 1)]!;
  const kinds = Object.entries(KINDS);
  return Array.from({ length: count }, (_, i) => {
    const [name, make] = kinds[i % kinds.length]!;
    return { name, ...make(pick) };
  });
}
