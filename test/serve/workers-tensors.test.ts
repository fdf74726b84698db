import assert from 'node:assert/strict';
import { DATA_TYPE, type DataType } from '../../compiler/onnx/data-type.js';
import type { ServedModel } from '../../runtime/serve/backend.js';
import type { Datatype, Tensor } from '../../runtime/serve/tensor.js';
import { serveModel } from '../../runtime/serve/workers/serve-model.js';
import { refusal } from '../refusal.js';
import { defaultedModel, identityModel } from './small-models.js';
import { tensor } from './tensors.js';

/** All types, each with elements whose bits are easily lost: extremes, −0, NaNs with a payload, subnormals. */
const EXTREMES: readonly (readonly [Datatype, DataType, Parameters<typeof tensor>[3]])[] = [
  ['BOOL', 'bool', Uint8Array.of(0, 1)],
  ['INT8', 'int8', Int8Array.of(-128, 127)],
  ['INT16', 'int16', Int16Array.of(-32768, 32767)],
  ['INT32', 'int32', Int32Array.of(-(2 ** 31), 2 ** 31 - 1)],
  ['INT64', 'int64', BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n)],
  ['UINT8', 'uint8', Uint8Array.of(0, 255)],
  ['UINT16', 'uint16', Uint16Array.of(0, 65535)],
  ['UINT32', 'uint32', Uint32Array.of(0, 2 ** 32 - 1)],
  ['UINT64', 'uint64', BigUint64Array.of(0n, 2n ** 64n - 1n)],
  ['FP16', 'float16', Uint16Array.of(0x8000, 0x7e01)],
  ['FP32', 'float', new Float32Array(Uint32Array.of(0x80000000, 0x7fc00001).buffer)],
  ['FP64', 'double', new Float64Array(BigUint64Array.of(1n, 0x7ff8000000000001n).buffer)],
];

/** Elements of BYTES: each behind its length. */
function texts(...all: readonly (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    all.flatMap((text) => {
      const bytes = Buffer.from(text as string);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** To compare bytes, wherever they lie. */
function plain({ data, ...tensor }: Tensor): object {
  return { ...tensor, data: [...data] };
}

function bytes({ buffer }: Float32Array): Uint8Array {
  return new Uint8Array(buffer);
}

/** Runs once. */
async function answer(path: string, inputs: readonly Tensor[], outputs: readonly string[] = []) {
  const served = await serveModel(path, { threads: 1 });
  try {
    return (await served.infer(inputs, { outputs })).outputs;
  } finally {
    await served.close(0);
  }
}

describe('tensors on their way to a worker and back', () => {
  it('keep every bit of every type, wherever their bytes begin', async () => {
    const inputs = EXTREMES.map(([datatype, , data]) => tensor(datatype, datatype, [2], data));
    const strings = {
      name: 'BYTES',
      datatype: 'BYTES',
      shape: [3],
      data: texts('', 'a', '\uFEFFgrüße 😀'),
    } as const;
    const unaligned = [...inputs, strings].map((input) => {
      const bytes = new Uint8Array(input.data.length + 3).subarray(3);
      bytes.set(input.data);
      return { ...input, data: bytes };
    });
    const path = identityModel(...EXTREMES.map(([name, type]) => [name, type, ['n']] as const), [
      'BYTES',
      'string',
      ['n'],
    ]);
    const outputs = await answer(path, unaligned);
    assert.deepEqual(
      outputs.map(plain),
      [...inputs, strings].map((input) => plain({ ...input, name: `${input.name}_out` })),
    );
  });

  it('come in the order that was asked for, of empty shapes too', async () => {
    const path = identityModel(['a', 'float', ['n', 4]], ['b', 'int64', []]);
    const a = tensor('a', 'FP32', [0, 4], new Float32Array(0));
    const b = tensor('b', 'INT64', [], BigInt64Array.of(7n));
    const both = await answer(path, [b, a], ['b_out', 'a_out']);
    assert.deepEqual(
      both.map(({ name, shape }) => [name, shape]),
      [
        ['b_out', []],
        ['a_out', [0, 4]],
      ],
    );
    assert.deepEqual(
      (await answer(path, [a, b], ['a_out'])).map(({ name }) => name),
      ['a_out'],
    );
  });

  it('may be left out where the model has a default, in any field of ONNX, and override it', async () => {
    const path = defaultedModel(
      { name: 'raw', dataType: DATA_TYPE.float, dims: [1], rawData: bytes(Float32Array.of(0.5)) },
      { name: 'float', dataType: DATA_TYPE.float, dims: [2], floatData: [0.1, -0] },
      { name: 'half', dataType: DATA_TYPE.float16, dims: [1], int32Data: [0x7e01] },
      { name: 'byte', dataType: DATA_TYPE.int8, dims: [1], int32Data: [-1] },
      { name: 'flag', dataType: DATA_TYPE.bool, dims: [2], int32Data: [1, 0] },
      { name: 'long', dataType: DATA_TYPE.int64, dims: [], int64Data: [-3] },
      { name: 'double', dataType: DATA_TYPE.double, dims: [1], doubleData: [0.1] },
    );
    const expected = [
      tensor('raw_out', 'FP32', [1], Float32Array.of(0.5)),
      tensor('float_out', 'FP32', [2], Float32Array.of(0.1, -0)),
      tensor('half_out', 'FP16', [1], Uint16Array.of(0x7e01)),
      tensor('byte_out', 'INT8', [1], Int8Array.of(-1)),
      tensor('flag_out', 'BOOL', [2], Uint8Array.of(1, 0)),
      tensor('long_out', 'INT64', [], BigInt64Array.of(-3n)),
      tensor('double_out', 'FP64', [1], Float64Array.of(0.1)),
    ];
    assert.deepEqual((await answer(path, [])).map(plain), expected.map(plain));
    const other = tensor('raw', 'FP32', [1], Float32Array.of(10));
    const overridden = [{ ...other, name: 'raw_out' }, ...expected.slice(1)];
    assert.deepEqual((await answer(path, [other])).map(plain), overridden.map(plain));
  });
});

describe('tensors that do not fit', () => {
  let served: ServedModel;
  before(async () => {
    const path = identityModel(
      ['sample', 'float', ['n', 4]],
      ['timestep', 'int64', []],
      ['flag', 'bool', [2]],
      ['text', 'string', ['n']],
      ['any', 'float', null],
    );
    served = await serveModel(path, { threads: 1 });
  });
  after(() => served.close(0));

  const fine = [
    tensor('sample', 'FP32', [1, 4], new Float32Array(4)),
    tensor('timestep', 'INT64', [], new BigInt64Array(1)),
    tensor('flag', 'BOOL', [2], Uint8Array.of(0, 1)),
    { name: 'text', datatype: 'BYTES', shape: [1], data: texts('a') } as const,
    tensor('any', 'FP32', [1, 1], new Float32Array(1)),
  ];
  const changed = (change: Partial<Tensor> & { name: string }) =>
    fine.map((input) => (input.name === change.name ? { ...input, ...change } : input));

  it('are told from those that do', async () => {
    assert.deepEqual(
      served.inputs.map(({ name, datatype, shape, optional }) => [name, datatype, shape, optional]),
      [
        ['sample', 'FP32', [-1, 4], false],
        ['timestep', 'INT64', [], false],
        ['flag', 'BOOL', [2], false],
        ['text', 'BYTES', [-1], false],
        ['any', 'FP32', [], false],
      ],
    );
    const { outputs } = await served.infer(fine);
    assert.deepEqual(
      outputs.map(({ shape }) => shape),
      fine.map(({ shape }) => shape),
    );
  });

  it('are made scalar where they are one number and the model takes a scalar', async () => {
    const { outputs } = await served.infer(changed({ name: 'timestep', shape: [1] }));
    assert.deepEqual(outputs[1]!.shape, []);
  });

  const name = 'sample';
  for (const [what, inputs, tensorName, message] of [
    ['missing', fine.slice(1), 'sample', /FP32 \[-1, 4\], found nothing/],
    ['given twice', [...fine, fine[0]!], 'sample', /two/],
    ['unknown', [...fine, { ...fine[0]!, name: 'samples' }], 'samples', /one of sample, timestep/],
    ['of another type', changed({ name, datatype: 'FP16' }), name, /FP32 \[-1, 4\], found FP16 \[1, 4\]/],
    ['of a type that it cannot run', changed({ name, datatype: 'BF16' }), name, /found BF16/],
    ['of another rank', changed({ name, shape: [4] }), name, /found FP32 \[4\]/],
    ['of another size', changed({ name, shape: [4, 1] }), name, /found FP32 \[4, 1\]/],
    ['a row of scalars', changed({ name: 'timestep', shape: [2] }), 'timestep', /INT64 \[\], found/],
    ['of a broken size', changed({ name, shape: [-1, 4] }), name, /whole sizes/],
    ['of half a size', changed({ name, shape: [0.5, 4] }), name, /whole sizes/],
    ['too short', changed({ name, shape: [2, 4] }), name, /32 bytes for .*, found 16 bytes/],
    ['beyond counting', changed({ name: 'any', shape: [2 ** 40, 2 ** 40] }), 'any', /fewer elements/],
    ['no booleans', changed({ name: 'flag', data: Uint8Array.of(0, 2) }), 'flag', /0 and 1, found 2/],
    [
      'text that ends early',
      changed({ name: 'text', data: texts('abc').subarray(0, 6) }),
      'text',
      /1 elements/,
    ],
    ['too many texts', changed({ name: 'text', data: texts('a', 'b') }), 'text', /1 elements/],
    ['too few texts', changed({ name: 'text', shape: [2] }), 'text', /2 elements/],
    ['no UTF-8', changed({ name: 'text', data: texts(Uint8Array.of(0xff)) }), 'text', /UTF-8/],
    ['text with a zero byte', changed({ name: 'text', data: texts('a\0b') }), 'text', /zero/],
  ] as const) {
    it(`are named: ${what}`, async () => {
      await assert.rejects(served.infer(inputs), (error: Error & { facts?: { tensor?: string } }) => {
        assert.ok(refusal('SERVER_INPUT')(error));
        assert.match(error.message, message);
        assert.equal(error.facts?.tensor, tensorName);
        return true;
      });
    });
  }

  it('are named: outputs that there are not, or twice', async () => {
    for (const outputs of [['nothing'], ['any_out', 'any_out']])
      await assert.rejects(served.infer(fine, { outputs }), refusal('SERVER_INPUT'));
  });
});
