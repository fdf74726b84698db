import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import ort from 'onnxruntime-node';
import { onnx } from '../../compiler/onnx/proto.js';
import { ImageProj } from '../../fixtures/typed-clients/image-proj.js';
import { Unet, UnetError } from '../../fixtures/typed-clients/unet.js';
import { formPath } from '../fixtures.js';
import { largestDifference, reference } from '../numbers.js';
import { repositoryOf, type ServeProcess, serve } from '../serve/serve-process.js';
import { countingModel, defaultedModel, identityModel } from '../serve/small-models.js';
import { clientOf, loadClient } from './client.js';
import { sampleProjection, sampleUnet } from './samples.js';

const TOKEN = 'let-me-in';

/** A name that wants to be more than one. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: as a hostile file has it.
const HOSTILE = "it's; `${x}`";

/** Every type with tensors of its own; float16 as bits, a NaN among them. */
const TYPED = {
  float: ['float32', Float32Array.of(1.5, Number.NaN, -0)],
  double: ['float64', Float64Array.of(0.1, -Infinity, 3)],
  float16: ['float16', Uint16Array.of(0x3c00, 0x7e01, 0x8000)],
  int8: ['int8', Int8Array.of(-128, 0, 127)],
  int16: ['int16', Int16Array.of(-32768, 0, 1)],
  int32: ['int32', Int32Array.of(-(2 ** 31), 0, 1)],
  int64: ['int64', BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 53n + 1n)],
  uint8: ['uint8', Uint8Array.of(0, 1, 255)],
  uint16: ['uint16', Uint16Array.of(0, 1, 65535)],
  uint32: ['uint32', Uint32Array.of(0, 1, 2 ** 32 - 1)],
  uint64: ['uint64', BigUint64Array.of(0n, 1n, 2n ** 64n - 1n)],
  bool: ['bool', Uint8Array.of(1, 0, 1)],
  string: ['string', ['', 'zwölf', '名前']],
} as const;

const typedModel = () =>
  identityModel(...Object.keys(TYPED).map((type) => [type, type as keyof typeof TYPED, ['n']] as const));

/** Bytes for numbers, so that NaNs count by their bits. */
const bits = (data: unknown) =>
  ArrayBuffer.isView(data) ? [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)] : data;

describe('typed clients run', () => {
  let paths: Record<'unet' | 'proj' | 'typed' | 'slow' | 'defaulted' | 'scalar' | 'hostile', string>;
  let running: ServeProcess;
  before(async () => {
    const { FLOAT } = onnx.TensorProto.DataType;
    const half = onnx.TensorProto.create({ name: 'x', dataType: FLOAT, dims: [1], floatData: [0.5] });
    paths = {
      unet: await sampleUnet(),
      proj: await sampleProjection(),
      typed: typedModel(),
      slow: countingModel(),
      defaulted: defaultedModel(half),
      scalar: identityModel(['s', 'float', []]),
      hostile: identityModel(['constructor', 'float', ['*/']], [HOSTILE, 'float', ['*/']]),
    };
    running = await serve(repositoryOf(paths), '--token', TOKEN, '--threads', '1');
  });
  after(async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  });
  const http = (model: string) => ({ url: running.url, model, token: TOKEN });

  it('a projection and a UNet, by a session and by the server: a direct run’s numbers bit for bit, and diffusers’', async () => {
    const expected = await reference('sd15', 'base');
    const of = (name: string) => expected.get(name).data;
    const [projSession, unetSession] = [
      await ort.InferenceSession.create(paths.proj),
      await ort.InferenceSession.create(paths.unet, { logSeverityLevel: 3 }),
    ];
    const direct = async () => {
      const embeds = new ort.Tensor('float32', of('image_embeds'), [2, 20]);
      const tokens = (await projSession.run({ image_embeds: embeds })).ip_hidden_states!;
      const feeds = {
        sample: new ort.Tensor('float32', of('sample'), [2, 4, 16, 16]),
        timestep: new ort.Tensor('int64', BigInt64Array.of(BigInt(of('timestep')[0]!)), []),
        encoder_hidden_states: new ort.Tensor('float32', of('encoder_hidden_states'), [2, 7, 24]),
        ip_hidden_states: tokens,
        ip_scale: new ort.Tensor('float32', Float32Array.of(0.6), [1]),
      };
      return [tokens.data, (await unetSession.run(feeds)).out_sample!.data] as Float32Array[];
    };
    const [tokens, noise] = await direct();
    for (const [proj, unet] of [
      [ImageProj.overSession(projSession, ort), Unet.overSession(unetSession, ort)],
      [ImageProj.overHttp(http('proj')), Unet.overHttp({ ...http('unet'), version: '1', timeout: 60_000 })],
    ] as const) {
      const { ip_hidden_states } = await proj.infer({
        image_embeds: { shape: [2, 20], data: of('image_embeds') },
      });
      const { out_sample } = await unet.infer(
        {
          sample: { shape: [2, 4, 16, 16], data: of('sample') },
          timestep: { shape: [], data: BigInt64Array.of(BigInt(of('timestep')[0]!)) },
          encoder_hidden_states: { shape: [2, 7, 24], data: of('encoder_hidden_states') },
          ip_hidden_states,
          ip_scale: { shape: [1], data: Float32Array.of(0.6) },
        },
        { outputs: ['out_sample'] },
      );
      assert.deepEqual(
        [ip_hidden_states.shape, out_sample.shape],
        [
          [2, 4, 24],
          [2, 4, 16, 16],
        ],
      );
      assert.deepEqual(bits(ip_hidden_states.data), bits(tokens));
      assert.deepEqual(bits(out_sample.data), bits(noise));
      assert.ok(largestDifference(out_sample.data, of('out_scale_0.6')) <= 1e-5);
    }
    await Promise.all([projSession.release(), unetSession.release()]);
  });

  it('every type of elements, every bit, both ways', async () => {
    const { Unet: Typed } = await loadClient(await clientOf(paths.typed));
    const session = await ort.InferenceSession.create(paths.typed);
    const inputs = Object.fromEntries(
      Object.entries(TYPED).map(([name, [type, data]]) => [name, { type, shape: [3], data }]),
    );
    for (const client of [Typed.overSession(session, ort), Typed.overHttp(http('typed'))]) {
      const results = await client.infer(inputs);
      assert.deepEqual(
        Object.keys(results),
        Object.keys(TYPED).map((name) => `${name}_out`),
      );
      for (const [name, [type, data]] of Object.entries(TYPED)) {
        const result = results[`${name}_out`];
        assert.deepEqual([result.type, result.shape, result.data.constructor], [type, [3], data.constructor]);
        assert.deepEqual(bits(result.data), bits(data), name);
      }
      // As they lie in a larger buffer, at an odd byte of the request; and none at all.
      const some = new Float64Array(8).fill(0.3).subarray(3, 6);
      const { double_out } = await client.infer(
        { ...inputs, double: { shape: [3], data: some } },
        { outputs: ['double_out'] },
      );
      assert.deepEqual([...double_out.data], [0.3, 0.3, 0.3]);
      const empty = Object.fromEntries(
        Object.entries(TYPED).map(([name, [, data]]) => [name, { shape: [0], data: data.slice(0, 0) }]),
      );
      assert.equal((await client.infer(empty)).string_out.data.length, 0);
    }
    await session.release();
  });

  it('scalars, inputs with defaults and names that are no identifiers', async () => {
    const scalar = await loadClient(await clientOf(paths.scalar));
    const one = { s: { shape: [], data: Float32Array.of(7) } };
    const { s_out } = await scalar.Unet.overHttp(http('scalar')).infer(one);
    assert.deepEqual([s_out.shape, [...s_out.data]], [[], [7]]);
    const defaulted = await loadClient(await clientOf(paths.defaulted));
    const given = { x: { shape: [1], data: Float32Array.of(3) } };
    const client = defaulted.Unet.overHttp(http('defaulted'));
    assert.equal((await client.infer(given)).x_out.data[0], 3);
    assert.equal((await client.infer({})).x_out.data[0], 0.5);
    const session = await ort.InferenceSession.create(paths.defaulted, { logSeverityLevel: 3 });
    const local = defaulted.Unet.overSession(session, ort);
    assert.equal((await local.infer({})).x_out.data[0], 0.5);
    await assert.rejects(local.infer(given), {
      name: 'UnetError',
      code: 'INPUT',
      message: /takes no value for an input with a default/,
    });
    const hostile = await loadClient(await clientOf(paths.hostile));
    const x = { shape: [1], data: Float32Array.of(5) };
    const found = await hostile.Unet.overHttp(http('hostile')).infer({ constructor: x, [HOSTILE]: x });
    assert.deepEqual([found.constructor_out.data[0], found[`${HOSTILE}_out`].data[0]], [5, 5]);
    await assert.rejects(
      hostile.Unet.overHttp(http('hostile')).infer({ [HOSTILE]: x }),
      /input "constructor": sought float32\[\*\/\], found nothing/,
    );
  });

  it('holds inputs against the model before anything is asked', async () => {
    const unet = Unet.overHttp({ url: 'http://127.0.0.1:1', model: 'unet' });
    const f32 = (...shape: number[]) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
    const good = {
      sample: f32(2, 4, 8, 8),
      timestep: { shape: [], data: BigInt64Array.of(1n) },
      encoder_hidden_states: f32(2, 7, 24),
      ip_hidden_states: f32(1, 4, 24),
      ip_scale: f32(1),
    };
    const infer = (changes: object, options = {}) => unet.infer({ ...good, ...changes } as never, options);
    for (const [changes, message] of [
      [
        { sample: f32(4, 8, 8) },
        'input "sample": sought float32[batch_size, 4, height, width], found float32[4, 8, 8]',
      ],
      [
        { sample: { shape: [2, 4, 8, 8], data: new Float32Array(9) } },
        'input "sample": sought float32[batch_size, 4, height, width], found 9 elements for float32[2, 4, 8, 8], which has 512',
      ],
      [
        { sample: { shape: [2, 4, 8, 8], data: new Float64Array(512) } },
        'input "sample": sought float32[batch_size, 4, height, width], found data in Float64Array where Float32Array holds them',
      ],
      [
        { encoder_hidden_states: f32(3, 7, 24) },
        'input "encoder_hidden_states": sought float32[batch_size, sequence_length, 24], found float32[3, 7, 24] with batch_size = 2, height = 8, width = 8',
      ],
      [
        { ip_hidden_states: f32(3, 4, 24) },
        'input "ip_hidden_states": sought float32[1 or batch_size, 4, 24], found float32[3, 4, 24] with batch_size = 2, height = 8, width = 8, sequence_length = 7',
      ],
      [{ ip_scale: undefined }, 'input "ip_scale": sought float32[1], found nothing'],
      [{ ip_scale: { type: 'float16', ...f32(1) } }, 'input "ip_scale": sought float32[1], found float16[1]'],
      [{ scale: f32(1) }, 'input "scale": the model has none of this name'],
      [
        { timestep: { shape: [-1], data: BigInt64Array.of() } },
        'input "timestep": sought int64[], found int64[-1] with batch_size = 2, height = 8, width = 8',
      ],
    ] as const)
      await assert.rejects(infer(changes), { name: 'UnetError', code: 'INPUT', status: null, message });
    await assert.rejects(infer({}, { outputs: ['out'] }), {
      code: 'INPUT',
      message: 'output "out": the model has none of this name',
    });
    await assert.rejects(infer({}), {
      code: 'UNREACHABLE',
      message: 'http://127.0.0.1:1/v2/models/unet/infer cannot be reached',
    });
    const session = await ort.InferenceSession.create(paths.scalar);
    assert.throws(() => Unet.overSession(session, ort), {
      code: 'MODEL',
      message: 'the session’s model has no "sample"',
    });
    await session.release();
  });

  it('says what a server has against a request, and ends when it is told to', async () => {
    const client = ImageProj.overHttp.bind(ImageProj);
    const inputs = { image_embeds: { shape: [1, 20], data: new Float32Array(20) } } as const;
    await assert.rejects(client({ url: running.url, model: 'proj' }).infer(inputs), {
      name: 'ImageProjError',
      code: 'REFUSED',
      status: 401,
    });
    await assert.rejects(client(http('nothing')).infer(inputs), {
      code: 'REFUSED',
      status: 404,
      message: /nothing/,
    });
    await assert.rejects(client(http('unet')).infer(inputs), {
      code: 'REFUSED',
      status: 400,
      message: /ip_hidden_states/,
    });
    await assert.rejects(client({ ...http('proj'), version: '7' }).infer(inputs), {
      code: 'REFUSED',
      status: 404,
    });
    const slow = (await loadClient(await clientOf(paths.slow))).Unet;
    const long = {
      n: { shape: [], data: BigInt64Array.of(10n ** 12n) },
      x: { shape: [1], data: Float32Array.of(0) },
    };
    await assert.rejects(slow.overHttp({ ...http('slow'), timeout: 200 }).infer(long), {
      code: 'TIMEOUT',
      message: 'no answer within 200 ms',
    });
    const stop = new AbortController();
    const run = slow.overHttp(http('slow')).infer(long, { signal: stop.signal });
    setTimeout(() => stop.abort(new Error('enough')), 100);
    await assert.rejects(run, /^Error: enough$/);
    await assert.rejects(slow.overHttp(http('slow')).infer(long, { signal: stop.signal }), /^Error: enough$/);
  });

  it('takes no answer for one that is not', async () => {
    const answers: {
      readonly status: number;
      readonly headers: Record<string, string>;
      readonly body: string | Buffer;
    }[] = [];
    const server: Server = createServer((request, response) => {
      request.resume().on('end', () => {
        const { status, headers, body } = answers.shift()!;
        response.writeHead(status, headers).end(body);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const client = ImageProj.overHttp({ url, model: 'a/b' });
    const given = { image_embeds: { shape: [1, 20], data: new Float32Array(20) } } as const;
    const output = {
      name: 'ip_hidden_states',
      datatype: 'FP32',
      shape: [1, 4, 24],
      parameters: { binary_data_size: 384 },
    };
    const reply = (outputs: unknown, tail = 384, length?: number) => {
      const json = Buffer.from(JSON.stringify({ outputs }));
      const headers = { 'Inference-Header-Content-Length': String(length ?? json.length) };
      return { status: 200, headers, body: Buffer.concat([json, Buffer.alloc(tail)]) };
    };
    const cases = [
      [reply([output]), undefined],
      [reply([output], 380), /fewer bytes/],
      [reply([{ ...output, datatype: 'FP16' }]), /gave FP16, not FP32/],
      [
        reply([{ ...output, shape: [1, 4, 23] }]),
        /sought float32\[image_batch_size, 4, 24\], found float32\[1, 4, 23\]/,
      ],
      [reply([{ ...output, shape: [2, 4, 24] }]), /with image_batch_size = 1/],
      [reply([{ ...output, name: 'other' }]), /what the model does not have/],
      [reply([]), /found nothing/],
      [reply([{ ...output, parameters: undefined, data: [] }]), /JSON where binary/],
      [reply({}), /no reply/],
      [reply([output], 384, 10), /no reply/],
      [reply([output], 384, 1e9), /no reply/],
      [{ status: 200, headers: {}, body: '<html>' }, /no reply/],
      [{ status: 502, headers: {}, body: '<html>' }, /^UnetError|the server answered 502/],
      [{ status: 400, headers: {}, body: '{"error":"because"}' }, /because/],
    ] as const;
    try {
      for (const [answer, message] of cases) {
        answers.push(answer);
        if (message === undefined) assert.equal((await client.infer(given)).ip_hidden_states.data.length, 96);
        else
          await assert.rejects(client.infer(given), {
            name: 'ImageProjError',
            code: answer.status === 200 ? 'OUTPUT' : 'REFUSED',
            message,
          });
      }
    } finally {
      server.close();
    }
  });

  it('float16 of a UNet: the bits of a direct run', async () => {
    const path = formPath('compact-fp16');
    const { Unet: Half } = await loadClient(await clientOf(path));
    const session = await ort.InferenceSession.create(path, { logSeverityLevel: 3 });
    const latents = Uint16Array.from({ length: 4 * 256 }, (_, i) => 0x3000 + (i % 1024));
    const text = Uint16Array.from({ length: 7 * 24 }, (_, i) => 0x3800 + i);
    const { out_sample } = await Half.overSession(session, ort).infer({
      sample: { shape: [1, 4, 16, 16], data: latents },
      timestep: { shape: [], data: BigInt64Array.of(500n) },
      encoder_hidden_states: { shape: [1, 7, 24], data: text },
    });
    const direct = await session.run({
      sample: new ort.Tensor('float16', latents, [1, 4, 16, 16]),
      timestep: new ort.Tensor('int64', BigInt64Array.of(500n), []),
      encoder_hidden_states: new ort.Tensor('float16', text, [1, 7, 24]),
    });
    assert.ok(out_sample.data instanceof Uint16Array);
    assert.deepEqual(bits(out_sample.data), bits(direct.out_sample!.data));
    await session.release();
  });

  it('its error is one to catch by class', async () => {
    const error = await Unet.overHttp({ url: 'http://127.0.0.1:1', model: 'unet' })
      .infer({} as never)
      .catch((caught: unknown) => caught);
    assert.ok(error instanceof UnetError && error.code === 'INPUT');
  });
});
