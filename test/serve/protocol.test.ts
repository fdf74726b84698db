import assert from 'node:assert/strict';
import fc from 'fast-check';
import { writeInferReply } from '../../runtime/serve/protocol/infer-reply.js';
import { parseInferRequest } from '../../runtime/serve/protocol/infer-request.js';
import { encodeStrings } from '../../runtime/serve/protocol/json-data.js';
import { DATATYPE_SIZE, type Datatype, type Tensor } from '../../runtime/serve/tensor.js';
import { refusal } from '../refusal.js';
import { DATATYPES, echoModel } from './echo-model.js';

const model = echoModel();

/** Parses a request whose body is JSON and then a tail, the header length given where there is one. */
function parse(json: unknown, tail?: Uint8Array) {
  const head = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
  if (tail === undefined) return parseInferRequest(head, undefined, model);
  return parseInferRequest(Buffer.concat([head, tail]), String(head.length), model);
}

const input = (datatype: Datatype, shape: readonly number[], more: object) => ({
  name: datatype,
  datatype,
  shape,
  ...more,
});
const wanted = (datatype: Datatype, binary: boolean) => ({
  name: `${datatype}_out`,
  parameters: { binary_data: binary },
});

/** A request for one output in the form that any type has. */
const binary = (datatype: Datatype, ...inputs: object[]) => ({ inputs, outputs: [wanted(datatype, true)] });

function refuses(work: () => unknown, message: RegExp): void {
  assert.throws(
    work,
    (error) => refusal('SERVER_REQUEST')(error) && message.test((error as Error).message),
    String(message),
  );
}

/** Tensors of any datatype, in binary form. */
const tensors = fc.constantFrom(...DATATYPES).chain((datatype) =>
  fc.array(fc.nat(3), { maxLength: 3 }).chain((shape): fc.Arbitrary<Tensor> => {
    const count = shape.reduce((product, each) => product * each, 1);
    const size = DATATYPE_SIZE[datatype];
    const data =
      size === null
        ? fc.array(fc.string({ unit: 'binary' }), { minLength: count, maxLength: count }).map(encodeStrings)
        : fc
            .uint8Array({ minLength: count * size, maxLength: count * size })
            .map((bytes) => (datatype === 'BOOL' ? bytes.map((byte) => byte % 2) : bytes));
    return data.map((bytes) => ({ name: datatype, datatype, shape, data: bytes }));
  }),
);

describe('the infer protocol', () => {
  it('binary tensors come back bit for bit, whichever they are and wherever they lie in the body', () => {
    const several = fc.uniqueArray(tensors, { selector: ({ name }) => name, minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(several, fc.string(), (sent, id) => {
        const inputs = sent.map(({ data, ...rest }) => ({
          ...rest,
          parameters: { binary_data_size: data.length },
        }));
        const outputs = sent.map(({ datatype }) => wanted(datatype, true));
        const tail = Buffer.concat(sent.map(({ data }) => data));
        const parsed = parse({ id, inputs, outputs }, tail);
        assert.deepEqual(
          parsed.inputs.map((each) => ({ ...each, data: [...each.data] })),
          sent.map((each) => ({ ...each, data: [...each.data] })),
        );
        assert.equal(parsed.id, id === '' ? undefined : id);
        const { body, headerLength } = writeInferReply(
          { model: 'm', version: '1', id },
          parsed.outputs,
          parsed.inputs,
        );
        assert.equal(headerLength === undefined, tail.length === 0);
        assert.deepEqual(body.subarray(headerLength ?? body.length), tail);
        const reply = JSON.parse(String(body.subarray(0, headerLength ?? body.length)));
        assert.deepEqual(
          reply.outputs.map((each: { parameters: unknown }) => each.parameters),
          sent.map(({ data }) => ({ binary_data_size: data.length })),
        );
      }),
    );
  });

  it('what JSON has a form for goes there and back as JSON', () => {
    const cases: [Datatype, unknown[]][] = [
      ['BOOL', [true, false]],
      ['INT8', [-128, 127]],
      ['INT16', [-32768, 32767]],
      ['INT32', [-(2 ** 31), 2 ** 31 - 1]],
      ['INT64', [-(2 ** 53) + 1, 2 ** 53 - 1]],
      ['UINT8', [0, 255]],
      ['UINT16', [0, 65535]],
      ['UINT32', [0, 2 ** 32 - 1]],
      ['UINT64', [0, 2 ** 53 - 1]],
      ['FP32', [Math.fround(0.1), -1.5]],
      ['FP64', [5e-324, 1.7e308]],
      ['BYTES', ['', 'Größe \u{1F600} "\\']],
    ];
    for (const [datatype, data] of cases) {
      for (const nested of [data, [data], data.map((each) => [[each]])]) {
        const { inputs, outputs } = parse({
          inputs: [input(datatype, [2], { data: nested })],
          outputs: [wanted(datatype, false)],
        });
        const { body, headerLength } = writeInferReply(
          { model: 'm', version: '1', id: 'i' },
          outputs,
          inputs,
        );
        assert.equal(headerLength, undefined);
        assert.deepEqual(JSON.parse(String(body)), {
          model_name: 'm',
          model_version: '1',
          id: 'i',
          outputs: [{ name: datatype, datatype, shape: [2], data }],
        });
      }
    }
  });

  it('64-bit integers are answered with all their digits', () => {
    const data = Buffer.alloc(8);
    data.writeBigInt64LE(-9007199254740993n);
    const output = { name: 'INT64', datatype: 'INT64', shape: [1], data } as const;
    const { body } = writeInferReply(
      { model: 'm', version: '1', id: '' },
      [{ name: 'INT64', binary: false }],
      [output],
    );
    assert.match(String(body), /"data":\[-9007199254740993\]/);
  });

  it('JSON and binary tensors go in one request and one reply', () => {
    const { inputs, outputs } = parse(
      {
        inputs: [
          input('FP32', [1], { data: [1] }),
          input('INT8', [2], { parameters: { binary_data_size: 2 } }),
          input('BOOL', [1], { data: [true] }),
          input('UINT8', [1], { parameters: { binary_data_size: 1 } }),
        ],
        outputs: [wanted('UINT8', true), wanted('FP32', false), wanted('INT8', true)],
      },
      Buffer.from([255, 1, 7]),
    );
    assert.deepEqual(
      inputs.map(({ data }) => [...data]),
      [[0, 0, 128, 63], [255, 1], [1], [7]],
    );
    const ordered = [inputs[3]!, inputs[0]!, inputs[1]!];
    const { body, headerLength } = writeInferReply({ model: 'm', version: '1', id: '' }, outputs, ordered);
    assert.deepEqual([...body.subarray(headerLength!)], [7, 255, 1]);
    const json = JSON.parse(String(body.subarray(0, headerLength)));
    assert.deepEqual(json.outputs[1].data, [1]);
  });

  it('outputs: all of the model’s where none is named, in binary form where the request says so', () => {
    const small = echoModel([{ name: 'x', datatype: 'FP32', shape: [-1], optional: false }]);
    const form = (more: object) =>
      parseInferRequest(
        Buffer.from(
          JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }], ...more }),
        ),
        undefined,
        small,
      ).outputs;
    assert.deepEqual(form({}), [{ name: 'x_out', binary: false }]);
    assert.deepEqual(form({ outputs: [] }), [{ name: 'x_out', binary: false }]);
    assert.deepEqual(form({ outputs: null, parameters: { binary_data_output: true } }), [
      { name: 'x_out', binary: true },
    ]);
    const plain = [{ name: 'x_out', parameters: { binary_data: false } }];
    assert.deepEqual(form({ outputs: plain, parameters: { binary_data_output: true } }), [
      { name: 'x_out', binary: false },
    ]);
  });

  it('a raw binary request is the tensor of the one input, its free dimension what the bytes make it', () => {
    const raw = (shape: number[], body: Uint8Array, datatype: Datatype = 'FP32') =>
      parseInferRequest(body, '0', echoModel([{ name: 'x', datatype, shape, optional: false }]));
    assert.deepEqual(raw([-1, 2], Buffer.alloc(24)).inputs[0]!.shape, [3, 2]);
    assert.deepEqual(raw([3, 2], Buffer.alloc(24)).inputs[0]!.shape, [3, 2]);
    assert.deepEqual(raw([], Buffer.alloc(4)).inputs[0]!.shape, []);
    assert.deepEqual(raw([1], Buffer.from('ab'), 'BYTES').inputs[0]!.data, Buffer.from([2, 0, 0, 0, 97, 98]));
    assert.deepEqual(raw([-1, 2], Buffer.alloc(24)).outputs, [{ name: 'x_out', binary: true }]);
    refuses(() => raw([-1, 2], Buffer.alloc(25)), /“x” .*multiple of 8 bytes, found 25/);
    refuses(() => raw([3, 2], Buffer.alloc(20)), /24 bytes, found 20/);
    refuses(() => raw([3, 2], Buffer.alloc(28)), /24 bytes, found 28/);
    refuses(() => raw([-1, -1], Buffer.alloc(4)), /one free dimension, found 2/);
    const two = echoModel(
      ['a', 'b'].map((name) => ({ name, datatype: 'FP32', shape: [1], optional: false })),
    );
    refuses(() => parseInferRequest(Buffer.alloc(4), '0', two), /one input/);
  });

  it('`__proto__` is a name like others and changes nothing', () => {
    const body =
      '{"__proto__":{"id":"evil"},"parameters":{"__proto__":1,"constructor":"x","seed":7},"inputs":[]}';
    const small = echoModel([{ name: 'x', datatype: 'FP32', shape: [1], optional: true }]);
    const parsed = parseInferRequest(Buffer.from(body), undefined, small);
    assert.equal(parsed.id, undefined);
    assert.equal(({} as { id?: string }).id, undefined);
  });

  it('timeout is in microseconds; 0 is none', () => {
    const { timeout } = parse({ ...binary('FP32'), parameters: { timeout: 2500 } });
    assert.equal(timeout, 2.5);
    assert.equal(parse({ ...binary('FP32'), parameters: { timeout: 0 } }).timeout, undefined);
    for (const bad of [-1, 1.5, '9', true])
      refuses(() => parse({ ...binary('FP32'), parameters: { timeout: bad } }), /timeout.*microseconds/);
  });

  const fp32 = (more: object) => () => parse(binary('FP32', input('FP32', [2], more)));
  const REFUSED: [what: string, request: () => unknown, message: RegExp][] = [
    ['what is no JSON', () => parse('{"inputs":['), /first 11 bytes are not JSON/],
    ['nothing', () => parse(''), /first 0 bytes/],
    ['another value than an object', () => parse([]), /the request: sought object, found array/],
    ['no inputs', () => parse({}), /inputs: sought array, found nothing/],
    ['NaN', () => parse('{"inputs":[{"data":[1, NaN]}]}'), /NaN.*binary/],
    ['-Infinity', () => parse('{"inputs":[{"data":[-Infinity]}]}'), /Infinity.*binary/],
    [
      'JSON that is not UTF-8',
      () => parseInferRequest(Buffer.from([0x22, 0xff, 0x22]), undefined, model),
      /UTF-8/,
    ],
    ['depth 101', () => parse(`${'['.repeat(101)}${']'.repeat(101)}`), /deeper than 100/],
    ['depth in one hundred thousand', () => parse('[{"a":'.repeat(50_000)), /deeper than 100/],
    [
      'an unknown datatype',
      () => parse({ inputs: [{ name: 'x', datatype: 'FP8', shape: [] }] }),
      /inputs\[0\]\.datatype: sought one of BOOL.*found “FP8”/,
    ],
    [
      'a parameter that is an object',
      () => parse({ ...binary('FP32'), parameters: { a: {} } }),
      /parameters\.a: sought string, number or boolean, found object/,
    ],
    [
      'a reserved parameter',
      () => parse({ ...binary('FP32'), parameters: { triton_x: 1 } }),
      /“triton_x” is reserved/,
    ],
    ['a sequence', () => parse({ ...binary('FP32'), parameters: { sequence_id: 5 } }), /sequence/],
    [
      'an input twice',
      () => parse(binary('FP32', input('FP32', [0], { data: [] }), input('FP32', [0], { data: [] }))),
      /“FP32” is there twice/,
    ],
    [
      'an output twice',
      () => parse({ inputs: [], outputs: [wanted('FP32', true), wanted('FP32', true)] }),
      /“FP32_out” is asked for twice/,
    ],
    [
      'an unknown output',
      () => parse({ inputs: [], outputs: [{ name: 'no' }] }),
      /“no”.*sought one of BOOL_out/,
    ],
    ['too few elements', fp32({ data: [1] }), /“FP32” \(FP32 \[2\]\): sought 2 elements, found 1/],
    ['too many elements', fp32({ data: [[1, 2], [3]] }), /sought 2 elements, found 3/],
    ['no data', fp32({}), /sought an array as data, found nothing/],
    ['data that is no array', fp32({ data: 'ab' }), /sought an array as data, found string/],
    ['a string as a number', fp32({ data: [1, '2'] }), /sought numbers, found string/],
    ['null as a number', fp32({ data: [1, null] }), /sought numbers, found null/],
    ['a number past FP32', fp32({ data: [1, 1e39] }), /found 1e\+39, which is too large/],
    ['data and bytes', fp32({ data: [1, 2], parameters: { binary_data_size: 0 } }), /found both/],
    [
      'bytes that are not there',
      fp32({ parameters: { binary_data_size: 8 } }),
      /sought 8 bytes behind the JSON, found 0/,
    ],
    ['a size that is none', fp32({ parameters: { binary_data_size: -8 } }), /binary_data_size.*“-8”/],
    ['shared memory', fp32({ parameters: { shared_memory_region: 'r' } }), /shared memory/],
    [
      'a fraction in an INT32',
      () => parse(binary('INT32', input('INT32', [1], { data: [0.5] }))),
      /whole numbers from -2147483648 to 2147483647, found 0.5/,
    ],
    [
      '256 in a UINT8',
      () => parse(binary('UINT8', input('UINT8', [1], { data: [256] }))),
      /0 to 255, found 256/,
    ],
    [
      'an INT64 that JavaScript rounds',
      () =>
        parse(
          '{"inputs":[{"name":"INT64","datatype":"INT64","shape":[1],"data":[9007199254740993]}],"outputs":[{"name":"INT64_out"}]}',
        ),
      /larger numbers go as binary data/,
    ],
    [
      '1 as a BOOL',
      () => parse(binary('BOOL', input('BOOL', [1], { data: [1] }))),
      /true and false, found number/,
    ],
    [
      '2 as a byte of a BOOL',
      () =>
        parse(binary('BOOL', input('BOOL', [1], { parameters: { binary_data_size: 1 } })), Buffer.from([2])),
      /bytes 0 and 1, found 2/,
    ],
    ['FP16 in JSON', () => parse(binary('FP16', input('FP16', [1], { data: [1] }))), /FP16 has no JSON form/],
    ['BF16 in JSON', () => parse(binary('BF16', input('BF16', [1], { data: [1] }))), /BF16 has no JSON form/],
    [
      'FP16 out as JSON',
      () => parse({ inputs: [], outputs: [wanted('FP16', false)] }),
      /“FP16_out”.*FP16 has no JSON form/,
    ],
    [
      'BF16 out, no form said',
      () => parse({ inputs: [], outputs: [{ name: 'BF16_out' }] }),
      /BF16 has no JSON form/,
    ],
    [
      'a negative dimension',
      () => parse(binary('FP32', input('FP32', [-1], { data: [] }))),
      /dimensions from 0 on, found -1/,
    ],
    [
      'a fraction of a dimension',
      () => parse(binary('FP32', input('FP32', [1.5], { data: [] }))),
      /dimensions from 0 on, found 1.5/,
    ],
    [
      'a product that overflows',
      () => parse(binary('FP32', input('FP32', [2 ** 32, 2 ** 32], { data: [] }))),
      /overflows/,
    ],
    [
      'a byte size that overflows',
      () => parse(binary('FP64', input('FP64', [2 ** 51], { data: [] }))),
      /overflows/,
    ],
    [
      'bytes left over',
      () =>
        parse(binary('INT8', input('INT8', [1], { parameters: { binary_data_size: 1 } })), Buffer.alloc(3)),
      /2 bytes lie behind the last input/,
    ],
    [
      'bytes that are not the shape’s',
      () =>
        parse(binary('INT8', input('INT8', [2], { parameters: { binary_data_size: 3 } })), Buffer.alloc(3)),
      /sought 2 bytes, found 3/,
    ],
    [
      'a string longer than its tensor',
      () =>
        parse(
          binary('BYTES', input('BYTES', [1], { parameters: { binary_data_size: 5 } })),
          Buffer.from([255, 255, 255, 255, 0]),
        ),
      /element 0: sought 4294967295 bytes, found 1/,
    ],
    [
      'half a length of a string',
      () =>
        parse(binary('BYTES', input('BYTES', [1], { parameters: { binary_data_size: 2 } })), Buffer.alloc(2)),
      /element 0: sought 4 bytes of length, found 2/,
    ],
    [
      'too many strings',
      () =>
        parse(binary('BYTES', input('BYTES', [1], { parameters: { binary_data_size: 8 } })), Buffer.alloc(8)),
      /sought 1 elements, found 2/,
    ],
    [
      'classification',
      () => parse({ inputs: [], outputs: [{ name: 'FP32_out', parameters: { classification: 3 } }] }),
      /classification/,
    ],
    [
      'a binary_data that is a string',
      () => parse({ inputs: [], outputs: [{ name: 'FP32_out', parameters: { binary_data: 'yes' } }] }),
      /binary_data: sought true or false, found “yes”/,
    ],
  ];
  for (const [what, request, message] of REFUSED) it(`refuses ${what}`, () => refuses(request, message));

  it('refuses lengths of JSON that are none', () => {
    for (const length of ['-1', '3', '1.0', '', 'x', '1, 1', '0x1', '99999999999999999999'])
      refuses(
        () => parseInferRequest(Buffer.from('{}'), length, model),
        /Inference-Header-Content-Length: sought 0 to 2/,
      );
  });

  it('refuses to answer in JSON what JSON has no form for', () => {
    const answer = (datatype: Datatype, data: Uint8Array) => () =>
      writeInferReply(
        { model: 'm', version: '1', id: '' },
        [{ name: 'y', binary: false }],
        [{ name: 'y', datatype, shape: [1], data }],
      );
    refuses(answer('FP32', new Uint8Array(Float32Array.of(Number.NaN).buffer)), /“y”.*NaN.*binary_data/);
    refuses(answer('FP64', new Uint8Array(Float64Array.of(-1 / 0).buffer)), /infinity.*binary_data/);
    refuses(answer('BYTES', Buffer.from([1, 0, 0, 0, 0xff])), /not UTF-8.*binary_data/);
  });

  it('whatever bytes come, they are parsed or refused', () => {
    const json = fc.json().map((text) => Buffer.from(text));
    const body = fc.oneof(fc.uint8Array({ maxLength: 100 }), json);
    fc.assert(
      fc.property(body, fc.option(fc.nat(120).map(String), { nil: undefined }), (bytes, length) => {
        try {
          parseInferRequest(bytes, length, model);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'SERVER_REQUEST', String(error));
        }
      }),
    );
  });
});
