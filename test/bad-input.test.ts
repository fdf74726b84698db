import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { TextReader, Uint8ArrayReader, Uint8ArrayWriter, ZipWriter } from '@zip.js/zip.js';
import type { ErrorCode } from '../compiler/errors.js';
import { writeFiles } from '../compiler/io/write-files.js';
import { onnx } from '../compiler/onnx/proto.js';
import { Rope } from '../compiler/wire/rope.js';
import { compile } from '../runtime/compile.js';
import { openAdapter, openModel } from '../runtime/open.js';
import { writePatched } from '../runtime/write-patched.js';
import { contentOf, ipgraft, ipgraftProcess, MAIN, type Outcome, placeModel } from './command.js';
import { adapterPath, closedFolder, fixturePath, freshFolder, modelPath } from './fixtures.js';
import { refusal } from './refusal.js';

const MODEL = 'sd15-sdpa-ts17';
const EXTERNAL = 'sd15-sdpa-ts17-external';
const ADAPTER = adapterPath('sd15', 'base');

/** The exit codes that are promised, by family. */
const EXIT: Readonly<Record<string, number>> = {
  WIRE: 2,
  MODEL: 2,
  ADAPTER: 3,
  MATCH: 4,
  EDIT: 5,
  PASS: 5,
  VERIFY: 6,
  OUTPUT: 8,
  OPTION: 9,
};

function isRefused({ code: exit, stdout, stderr }: Outcome, code: ErrorCode): void {
  assert.match(stderr, new RegExp(`^${code}: \\S.*\\n {2}hint: \\S`), `sought ${code}, found ${stderr}`);
  assert.equal(exit, EXIT[code.slice(0, code.indexOf('_'))]);
  const { error } = JSON.parse(stdout) as { error: Record<string, unknown> };
  assert.equal(error.code, code);
  assert.ok(error.message !== '' && error.hint !== '' && typeof error.facts === 'object');
}

/** Runs a command that must be refused with this code, and must leave the folder as it was. */
async function refuses(code: ErrorCode, folder: string, ...args: readonly string[]): Promise<Outcome> {
  const before = contentOf(folder);
  const outcome = await ipgraft(args[0]!, '--json', ...args.slice(1));
  isRefused(outcome, code);
  assert.deepEqual(contentOf(folder), before, 'something was left behind or changed');
  return outcome;
}

/** Refused as either of two models that are compared or run. */
async function refusesEither(code: ErrorCode, folder: string, path: string): Promise<void> {
  for (const verb of ['diff', 'validate']) {
    await refuses(code, folder, verb, path, modelPath(MODEL));
    await refuses(code, folder, verb, modelPath(MODEL), path);
  }
}

function put(name: string, content: string | Uint8Array): { folder: string; path: string } {
  const folder = freshFolder();
  const path = join(folder, name);
  writeFileSync(path, content);
  return { folder, path };
}

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452000000100000001008060000001ff3ff61', 'hex');
const LFS = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 3438167540\n';
const ZIP = Buffer.from('504b0304140000000000', 'hex');

describe('a base that is no ONNX model is refused', () => {
  for (const [title, name, content, code] of [
    ['a picture', 'unet.onnx', PNG, 'WIRE_MALFORMED'],
    ['safetensors', 'unet.onnx', readFileSync(ADAPTER), 'MODEL_NOT_ONNX'],
    ['a zip archive', 'unet.onnx', ZIP, 'MODEL_NOT_ONNX'],
    ['a text file', 'unet.onnx', 'This is the UNet.\n', 'MODEL_NOT_ONNX'],
    ['a web page', 'unet.onnx', '<!DOCTYPE html>\n<html><head><title>Login', 'MODEL_NOT_ONNX'],
    ['a Git LFS pointer', 'unet.onnx', LFS, 'MODEL_NOT_ONNX'],
    ['an empty file', 'unet.onnx', '', 'MODEL_NOT_ONNX'],
    ['a file of zeros', 'unet.onnx', Buffer.alloc(4096), 'WIRE_MALFORMED'],
    [
      'a protobuf message of another kind',
      'unet.onnx',
      onnx.TensorProto.encode({ name: 'w', dims: [1], rawData: new Uint8Array(4) }).finish(),
      'MODEL_NOT_ONNX',
    ],
  ] as const) {
    it(title, async () => {
      const { folder, path } = put(name, content);
      await refuses(code, folder, 'compile', path, '-a', ADAPTER, '-o', join(folder, 'out.onnx'));
      await refusesEither(code, folder, path);
    });
  }

  it('a truncated model', async () => {
    const { folder, base } = placeModel(MODEL);
    truncateSync(base, 1_000_000);
    await refuses('WIRE_TRUNCATED', folder, 'compile', base, '-a', ADAPTER, '-o', join(folder, 'out.onnx'));
    await refusesEither('WIRE_TRUNCATED', folder, base);
  });

  it('a missing file', async () => {
    const folder = freshFolder();
    await refuses(
      'OPTION_FILE_MISSING',
      folder,
      ...['compile', join(folder, 'none.onnx'), '-a', ADAPTER, '-o', join(folder, 'out.onnx')],
    );
    await refusesEither('OPTION_FILE_MISSING', folder, join(folder, 'none.onnx'));
  });

  it('a folder', async () => {
    const folder = freshFolder();
    await refuses('OPTION_FILE_MISSING', folder, 'compile', folder, '-a', ADAPTER, '-o', join(folder, 'o'));
    await refusesEither('OPTION_FILE_MISSING', folder, folder);
  });

  for (const verb of ['inspect', 'strip']) {
    it(`${verb} refuses a text file and a missing file too`, async () => {
      const { folder, path } = put('unet.onnx', 'text');
      const output = verb === 'strip' ? ['-o', join(folder, 'out.onnx')] : [];
      await refuses('MODEL_NOT_ONNX', folder, verb, path, ...output);
      await refuses('OPTION_FILE_MISSING', folder, verb, `${path}.none`, ...output);
    });
  }

  it('as a process: a hint on standard error, nothing on standard output', () => {
    const { folder, path } = put('unet.onnx', LFS);
    const { code, stdout, stderr } = ipgraftProcess('compile', path, '-a', ADAPTER, '-o', join(folder, 'o'));
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /^MODEL_NOT_ONNX: unet\.onnx: .*\n {2}hint: .*git lfs pull.*\n$/);
  });
});

describe('a model that is not for this is refused', () => {
  const part = (name: string) => {
    const packed = readFileSync(fixturePath('pipeline', 'onnx', name, 'model.onnx.gz'));
    return put('model.onnx', gunzipSync(packed));
  };

  for (const name of ['vae_decoder', 'text_encoder']) {
    it(`a ${name} has no text input`, async () => {
      const { folder, path } = part(name);
      await refuses('MATCH_TEXT_INPUT', folder, 'compile', path, '-a', ADAPTER, '-o', join(folder, 'o.onnx'));
    });
  }

  it('a vae_decoder has no cross-attention, whatever its text input is said to be', async () => {
    const { folder, path } = part('vae_decoder');
    await refuses(
      'MATCH_NO_CROSS_ATTENTION',
      folder,
      ...['compile', path, '-a', ADAPTER, '-o', join(folder, 'o.onnx'), '--text-input', 'latent_sample'],
    );
  });

  it('a model that is patched already', async () => {
    const { folder, base } = placeModel(MODEL);
    const once = join(folder, 'once.onnx');
    assert.equal((await ipgraft('compile', base, '-a', ADAPTER, '-o', once)).code, 0);
    await refuses(
      'MODEL_ALREADY_PATCHED',
      folder,
      ...['compile', once, '-a', ADAPTER, '-o', join(folder, 'twice.onnx')],
    );
  });

  it('names and dataflow that disagree about key and value', async () => {
    const model = onnx.ModelProto.decode(readFileSync(modelPath(MODEL)));
    const site = /^\/mid_block\/.*\/attn2\/(to_k|to_v)\//;
    const pair = model.graph!.node!.filter((node) => site.test(node.name ?? ''));
    assert.equal(pair.length, 2);
    for (const node of pair)
      node.name = node.name!.replace(/to_[kv]/, (each) => (each === 'to_k' ? 'to_v' : 'to_k'));
    const { folder, path } = put('swapped.onnx', onnx.ModelProto.encode(model).finish());
    await refuses('MATCH_UNCONFIRMED', folder, 'compile', path, '-a', ADAPTER, '-o', join(folder, 'o.onnx'));
  });

  it('strip refuses a model that was never patched', async () => {
    const { folder, base } = placeModel(MODEL);
    await refuses('MODEL_NOT_PATCHED', folder, 'strip', base, '-o', join(folder, 'back.onnx'));
  });

  it('strip refuses when the base that holds the weights is gone', async () => {
    const { folder, base } = placeModel(MODEL);
    const other = freshFolder();
    const out = join(folder, 'p.onnx');
    assert.equal((await ipgraft('compile', base, '-a', ADAPTER, '-o', out)).code, 0);
    cpSync(out, join(other, 'p.onnx'));
    const args = ['strip', join(other, 'p.onnx'), '-o', join(other, 'back.onnx')];
    await refuses('MODEL_EXTERNAL_MISSING', other, ...args);
  });

  it('strip refuses when the base of another training stands where the base stood', async () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'p.onnx');
    assert.equal((await ipgraft('compile', base, '-a', ADAPTER, '-o', out)).code, 0);
    const opened = await openModel(base);
    const bytes = readFileSync(base);
    for (const segment of opened.file.segments) {
      if (segment.kind !== 'stored') continue;
      for (let i = segment.offset; i < segment.offset + segment.length; i += 4) bytes[i]! ^= 1;
    }
    await opened.close();
    writeFileSync(base, bytes);
    const outcome = await refuses('VERIFY_BASE_CHANGED', folder, 'strip', out, '-o', join(folder, 'back'));
    assert.match(outcome.stderr, /other weights/);
  });

  it('strip refuses when another file stands where the base stood', async () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'p.onnx');
    assert.equal((await ipgraft('compile', base, '-a', ADAPTER, '-o', out)).code, 0);
    cpSync(modelPath('sd15-sdpa-dynamo18'), base);
    await refuses('VERIFY_BASE_CHANGED', folder, 'strip', out, '-o', join(folder, 'back.onnx'));
  });
});

/** Names, number types and shapes of a safetensors file. */
type Header = Record<string, { dtype: string; shape: number[] }>;

const SIZE: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2, I64: 8 };

function headerOf(path: string): Header {
  const bytes = readFileSync(path);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE()))) as Header;
  delete header.__metadata__;
  return Object.fromEntries(
    Object.entries(header).map(([name, { dtype, shape }]) => [name, { dtype, shape }]),
  );
}

/** A safetensors file of zeros. */
function safetensors(header: Header): Uint8Array {
  let end = 0;
  const entries = Object.entries(header).map(([name, { dtype, shape }]) => {
    const begin = end;
    end += shape.reduce((product, side) => product * side, 1) * SIZE[dtype]!;
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(end)]);
}

/** Makes one checkpoint of another by its names: `null` drops a tensor. */
function changed(header: Header, change: (name: string) => string | null): Header {
  return Object.fromEntries(
    Object.entries(header).flatMap(([name, tensor]) => {
      const now = change(name);
      return now === null ? [] : [[now, tensor]];
    }),
  );
}

describe('a checkpoint that is none, or not for this UNet, is refused', () => {
  const base = headerOf(ADAPTER);
  const plus = headerOf(adapterPath('sd15', 'plus'));
  const face = headerOf(adapterPath('sd15', 'full-face'));
  const f32 = (...shape: number[]) => ({ dtype: 'F32', shape });
  const reshaped = (header: Header, name: string, ...shape: number[]) => {
    assert.ok(name in header, name);
    return { ...header, [name]: f32(...shape) };
  };
  const without = (header: Header, ...names: string[]) => {
    for (const name of names) assert.ok(name in header, name);
    return changed(header, (name) => (names.includes(name) ? null : name));
  };
  const renumbered = (number: (id: number) => number) =>
    changed(base, (name) =>
      name.replace(/^ip_adapter\.(\d+)/, (_, id) => `ip_adapter.${number(Number(id))}`),
    );
  const key = 'ip_adapter.1.to_k_ip.weight';
  const value = 'ip_adapter.1.to_v_ip.weight';
  const [h, c] = base[key]!.shape as [number, number];

  it('a checkpoint that this test writes whole is taken', async () => {
    const { path } = put('adapter.safetensors', safetensors(base));
    assert.equal((await ipgraft('compile', modelPath(MODEL), '-a', path, '--dry-run')).code, 0);
  });

  for (const [title, header, code] of [
    [
      'without a layer in the middle',
      without(base, 'ip_adapter.5.to_k_ip.weight', 'ip_adapter.5.to_v_ip.weight'),
      'ADAPTER_LAYERS',
    ],
    [
      'without the last layer',
      without(base, 'ip_adapter.31.to_k_ip.weight', 'ip_adapter.31.to_v_ip.weight'),
      'ADAPTER_COUNT',
    ],
    [
      'with a layer too many',
      { ...base, 'ip_adapter.33.to_k_ip.weight': f32(h, c), 'ip_adapter.33.to_v_ip.weight': f32(h, c) },
      'ADAPTER_COUNT',
    ],
    [
      'with an even id',
      { ...base, 'ip_adapter.2.to_k_ip.weight': f32(h, c), 'ip_adapter.2.to_v_ip.weight': f32(h, c) },
      'ADAPTER_LAYERS',
    ],
    ['with biases', { ...base, 'ip_adapter.1.to_k_ip.bias': f32(h) }, 'ADAPTER_NOT_FOR_UNET'],
    [
      'with norm_ip, as SD3 has it',
      { ...base, 'ip_adapter.1.norm_ip.linear.weight': f32(h, c) },
      'ADAPTER_NOT_FOR_UNET',
    ],
    ['with ids 0, 1, 2, as SD3 and Flux have them', renumbered((id) => (id - 1) / 2), 'ADAPTER_NOT_FOR_UNET'],
    ['with ids 1, 2, 3', renumbered((id) => (id + 1) / 2), 'ADAPTER_LAYERS'],
    [
      'with double blocks, as Flux has them',
      { ...base, 'double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight': f32(h, c) },
      'ADAPTER_NOT_FOR_UNET',
    ],
    ['without one to_k_ip', without(base, key), 'ADAPTER_LAYERS'],
    ['without one to_v_ip', without(base, value), 'ADAPTER_LAYERS'],
    [
      'with half of a LoRA among the layers',
      { ...base, 'ip_adapter.1.to_k_lora.down.weight': f32(8, c) },
      'ADAPTER_LORA',
    ],
    ['with to_k_ip and to_v_ip of different shapes', reshaped(base, value, h + 1, c), 'ADAPTER_LAYERS'],
    [
      'with a layer of another token width',
      reshaped(reshaped(base, key, h, c + 1), value, h, c + 1),
      'ADAPTER_LAYERS',
    ],
    [
      'with a layer of three dimensions',
      reshaped(reshaped(base, key, h, c, 1), value, h, c, 1),
      'ADAPTER_LAYERS',
    ],
    [
      'with a layer of another width',
      reshaped(reshaped(base, key, h * 2, c), value, h * 2, c),
      'ADAPTER_WIDTH',
    ],
    [
      'with whole numbers for weights',
      { ...base, [key]: { dtype: 'I64', shape: [h, c] } },
      'ADAPTER_TENSOR_UNSUPPORTED',
    ],
    [
      'without an image projection',
      changed(base, (name) => (name.startsWith('image_proj') ? null : name)),
      'ADAPTER_FAMILY_UNKNOWN',
    ],
    [
      'without layers',
      changed(base, (name) => (name.startsWith('ip_adapter') ? null : name)),
      'ADAPTER_FAMILY_UNKNOWN',
    ],
    ['that is a LoRA', { 'lora_unet_down_blocks_0.lora_down.weight': f32(4, c) }, 'ADAPTER_FAMILY_UNKNOWN'],
    ['without any tensor', {}, 'ADAPTER_FAMILY_UNKNOWN'],
    [
      'faceid: with rows that make no whole tokens',
      {
        ...changed(base, (name) => (name.startsWith('image_proj') ? null : name)),
        'image_proj.proj.0.weight': f32(64, 512),
        'image_proj.proj.0.bias': f32(64),
        'image_proj.proj.2.weight': f32(4 * c + 1, 64),
        'image_proj.proj.2.bias': f32(4 * c + 1),
        'image_proj.norm.weight': f32(c),
        'image_proj.norm.bias': f32(c),
      },
      'ADAPTER_PROJECTION',
    ],
    [
      'faceid-plus: with nothing but a Perceiver',
      {
        ...changed(base, (name) => (name.startsWith('image_proj') ? null : name)),
        'image_proj.perceiver_resampler.proj_in.weight': f32(c, 64),
      },
      'ADAPTER_PROJECTION',
    ],
    ['base: without the bias of the projection', without(base, 'image_proj.proj.bias'), 'ADAPTER_PROJECTION'],
    [
      'base: with a bias of another length',
      reshaped(base, 'image_proj.proj.bias', 4 * c + 1),
      'ADAPTER_PROJECTION',
    ],
    [
      'base: with rows that make no whole tokens',
      reshaped(base, 'image_proj.proj.weight', 4 * c + 1, 20),
      'ADAPTER_PROJECTION',
    ],
    [
      'base: with no rows at all',
      reshaped(reshaped(base, 'image_proj.proj.weight', 0, 20), 'image_proj.proj.bias', 0),
      'ADAPTER_PROJECTION',
    ],
    [
      'base: with a projection of one dimension',
      reshaped(base, 'image_proj.proj.weight', 4 * c),
      'ADAPTER_PROJECTION',
    ],
    [
      'base: with a norm of another width',
      reshaped(base, 'image_proj.norm.weight', c + 1),
      'ADAPTER_PROJECTION',
    ],
    ['full-face: without its second layer', without(face, 'image_proj.proj.2.weight'), 'ADAPTER_PROJECTION'],
    [
      'full-face: with a second layer of another width',
      reshaped(face, 'image_proj.proj.2.weight', c, 21),
      'ADAPTER_PROJECTION',
    ],
    [
      'plus: with latents of two dimensions',
      reshaped(plus, 'image_proj.latents', 16, 48),
      'ADAPTER_PROJECTION',
    ],
    ['plus: without to_kv', without(plus, 'image_proj.layers.0.0.to_kv.weight'), 'ADAPTER_PROJECTION'],
    [
      'plus: with heads of another width',
      reshaped(plus, 'image_proj.layers.0.0.to_q.weight', 65, 48),
      'ADAPTER_PROJECTION',
    ],
    [
      'plus: without layers',
      changed(plus, (name) => (name.includes('.layers.') ? null : name)),
      'ADAPTER_PROJECTION',
    ],
    [
      'plus: without a layer in the middle',
      changed(plus, (name) => (name.includes('.layers.0.1.') ? null : name)),
      'ADAPTER_PROJECTION',
    ],
  ] as const satisfies readonly (readonly [string, Header, ErrorCode])[]) {
    it(`one ${title}: ${code}`, async () => {
      const { folder, path } = put('adapter.safetensors', safetensors(header));
      const out = join(folder, 'out.onnx');
      await refuses(code, folder, 'compile', modelPath(MODEL), '-a', path, '-o', out, '--tokens', 'embeds');
    });
  }

  for (const [title, adapter, model, code] of [
    ['for SD2.1', adapterPath('sd21', 'base'), MODEL, 'ADAPTER_WIDTH'],
    ['for SDXL', adapterPath('sdxl', 'base'), MODEL, 'ADAPTER_COUNT'],
    ['for SD1.5, in SD2.1', ADAPTER, 'sd21-sdpa-ts17', 'ADAPTER_WIDTH'],
    ['for SD1.5, in SDXL', ADAPTER, 'sdxl-sdpa-ts17', 'ADAPTER_COUNT'],
  ] as const) {
    it(`an adapter ${title}: ${code}`, async () => {
      const folder = freshFolder();
      const out = join(folder, 'out.onnx');
      await refuses(code, folder, 'compile', modelPath(model), '-a', adapter, '-o', out);
    });
  }

  for (const [title, content, code] of [
    ['an ONNX model', readFileSync(modelPath(EXTERNAL)), 'ADAPTER_NOT_A_CHECKPOINT'],
    ['a picture', PNG, 'ADAPTER_NOT_A_CHECKPOINT'],
    ['text', 'weights', 'ADAPTER_NOT_A_CHECKPOINT'],
    ['a Git LFS pointer', LFS, 'ADAPTER_NOT_A_CHECKPOINT'],
    ['an empty file', '', 'ADAPTER_NOT_A_CHECKPOINT'],
    ['a truncated file', readFileSync(ADAPTER).subarray(0, 20_000), 'ADAPTER_TRUNCATED'],
  ] as const) {
    it(`${title} in an adapter's place: ${code}`, async () => {
      const { folder, path } = put('adapter.safetensors', content);
      const out = join(folder, 'out.onnx');
      await refuses(code, folder, 'compile', modelPath(MODEL), '-a', path, '-o', out);
      await refuses(code, folder, 'project', path, '-o', out);
    });
  }

  it('an adapter before the base is told from a missing one', async () => {
    const { folder, base } = placeModel(MODEL);
    const args = ['compile', '-a', ADAPTER, base, '-o', join(folder, 'out.onnx')];
    const { stderr } = await refuses('OPTION_INVALID', folder, ...args);
    assert.match(stderr, /the file comes first/i);
  });

  it('a missing adapter', async () => {
    const folder = freshFolder();
    const args = ['-a', join(folder, 'none.bin'), '-o', join(folder, 'out.onnx')];
    await refuses('OPTION_FILE_MISSING', folder, 'compile', modelPath(MODEL), ...args);
  });

  it('a pickle that calls something: it is not called', async () => {
    const proof = join(freshFolder(), 'called');
    const command = Buffer.from(`touch ${proof}`);
    // Protocol 2, GLOBAL posix.system, one string, TUPLE1, REDUCE, STOP.
    const pickle = Buffer.concat([
      Buffer.from('\x80\x02cposix\nsystem\nX', 'latin1'),
      Buffer.from(Uint32Array.of(command.length).buffer),
      command,
      Buffer.from('\x85R.', 'latin1'),
    ]);
    const zip = new ZipWriter(new Uint8ArrayWriter(), { level: 0 });
    await zip.add('archive/data.pkl', new Uint8ArrayReader(new Uint8Array(pickle)));
    await zip.add('archive/version', new TextReader('3\n'));
    const { folder, path } = put('adapter.bin', await zip.close());
    const out = join(folder, 'out.onnx');
    await refuses('ADAPTER_PICKLE_FORBIDDEN', folder, 'compile', modelPath(MODEL), '-a', path, '-o', out);
    assert.ok(!existsSync(proof));
  });
});

describe('external data that is not to be trusted is refused', () => {
  /** The fixture with a data file, and one tensor of it placed elsewhere. */
  function placed(location: string, offset?: number, length?: number): { folder: string; base: string } {
    const model = onnx.ModelProto.decode(readFileSync(modelPath(EXTERNAL)));
    const tensor = model.graph!.initializer!.find(({ dataLocation }) => dataLocation === 1)!;
    const entries = new Map(tensor.externalData!.map(({ key, value }) => [key!, value!]));
    entries.set('location', location);
    if (offset !== undefined) entries.set('offset', String(offset));
    if (length !== undefined) entries.set('length', String(length));
    tensor.externalData = [...entries].map(([key, value]) => ({ key, value }));
    const { folder, base } = placeModel(EXTERNAL);
    writeFileSync(base, onnx.ModelProto.encode(model).finish());
    return { folder, base };
  }

  function compiling(folder: string, base: string): string[] {
    return ['compile', base, '-a', ADAPTER, '-o', join(folder, 'out.onnx')];
  }

  const data = `${EXTERNAL}.onnx_data`;
  for (const [title, location, code] of [
    ['the folder above', '../weights.bin', 'MODEL_EXTERNAL_ESCAPES'],
    ['above by a detour', 'a/../../weights.bin', 'MODEL_EXTERNAL_ESCAPES'],
    ['an absolute path', '/etc/passwd', 'MODEL_EXTERNAL_ESCAPES'],
    ['a path of Windows', '..\\weights.bin', 'MODEL_EXTERNAL_ESCAPES'],
    ['a drive of Windows', 'C:weights.bin', 'MODEL_EXTERNAL_ESCAPES'],
    ['nothing', '', 'MODEL_EXTERNAL_ESCAPES'],
    ['a name with a zero', 'weights\0.bin', 'MODEL_EXTERNAL_ESCAPES'],
    ['a file that is not there', 'weights.bin', 'MODEL_EXTERNAL_MISSING'],
    ['a file inside a file', `${data}/weights.bin`, 'MODEL_EXTERNAL_MISSING'],
    ['a name longer than names may be', 'w'.repeat(5000), 'MODEL_EXTERNAL_MISSING'],
  ] as const) {
    it(`in ${title}: ${code}`, async () => {
      const { folder, base } = placed(location);
      await refuses(code, folder, ...compiling(folder, base));
      await refusesEither(code, folder, base);
    });
  }

  it('behind a link that leaves the folder', async () => {
    const { folder, base } = placed('weights.bin');
    const outside = put('weights.bin', new Uint8Array(2 ** 21));
    symlinkSync(outside.path, join(folder, 'weights.bin'));
    await refuses('MODEL_EXTERNAL_ESCAPES', folder, ...compiling(folder, base));
  });

  it('in a folder that is a link out', async () => {
    const { folder, base } = placed('data/weights.bin');
    const outside = put('weights.bin', new Uint8Array(2 ** 21));
    symlinkSync(outside.folder, join(folder, 'data'));
    await refuses('MODEL_EXTERNAL_ESCAPES', folder, ...compiling(folder, base));
  });

  it('behind a link to itself', async () => {
    const { folder, base } = placed('weights.bin');
    symlinkSync('weights.bin', join(folder, 'weights.bin'));
    await refuses('MODEL_EXTERNAL_MISSING', folder, ...compiling(folder, base));
  });

  it('in a folder instead of a file', async () => {
    const { folder, base } = placed('weights', 0, 16);
    mkdirSync(join(folder, 'weights'));
    await refuses('MODEL_EXTERNAL_MISSING', folder, ...compiling(folder, base));
  });

  for (const [title, offset, length] of [
    ['past the end of its file', 2 ** 40, 4],
    ['longer than its file', 0, 2 ** 40],
    ['before its beginning', -4096, 4096],
    ['of a negative length', 4096, -1],
    ['at no number', Number.NaN, 4],
  ] as const) {
    it(title, async () => {
      const { folder, base } = placed(data, offset, length);
      await refuses('MODEL_EXTERNAL_TRUNCATED', folder, ...compiling(folder, base));
      await refusesEither('MODEL_EXTERNAL_TRUNCATED', folder, base);
    });
  }

  it('whose file is gone, though only a constant and a constant in a branch name it', async () => {
    for (const nested of [false, true]) {
      const { folder, base } = placeModel(MODEL);
      const model = onnx.ModelProto.decode(readFileSync(base));
      const constant = onnx.NodeProto.create({
        opType: 'Constant',
        output: ['far'],
        attribute: [
          {
            name: 'value',
            type: onnx.AttributeProto.AttributeType.TENSOR,
            t: {
              dataType: 1,
              dims: [4],
              dataLocation: 1,
              externalData: [{ key: 'location', value: 'constant.data' }],
            },
          },
        ],
      });
      const branch = { name: 'branch', node: [constant], output: [] };
      const conditional = onnx.NodeProto.create({
        opType: 'If',
        output: ['either'],
        input: ['yes'],
        attribute: [{ name: 'then_branch', type: onnx.AttributeProto.AttributeType.GRAPH, g: branch }],
      });
      model.graph!.node!.push(nested ? conditional : constant);
      writeFileSync(base, onnx.ModelProto.encode(model).finish());
      const args = ['compile', base, '-a', ADAPTER, '-o', join(folder, 'elsewhere', 'out.onnx')];
      await refuses('MODEL_EXTERNAL_MISSING', folder, ...args);
    }
  });

  it('whose file is cut off', async () => {
    const { folder, base } = placeModel(EXTERNAL);
    truncateSync(`${base}_data`, 1_000_000);
    await refuses('MODEL_EXTERNAL_TRUNCATED', folder, ...compiling(folder, base));
  });

  it('whose file is gone', async () => {
    const folder = freshFolder();
    const base = join(folder, 'model.onnx');
    cpSync(modelPath(EXTERNAL), base);
    await refuses('MODEL_EXTERNAL_MISSING', folder, ...compiling(folder, base));
  });

  it('a link within the folder is followed', async () => {
    const { folder, base } = placed('link.bin');
    symlinkSync(data, join(folder, 'link.bin'));
    assert.equal((await ipgraft(...compiling(folder, base))).code, 0);
  });
});

describe('outputs that cannot be written are refused, and nothing is left behind', () => {
  const compiling = (base: string, out: string, ...more: readonly string[]) => [
    ...['compile', base, '-a', ADAPTER, '-o', out],
    ...more,
  ];

  it('a file that exists, without --force', async () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'out.onnx');
    writeFileSync(out, 'precious');
    await refuses('OUTPUT_EXISTS', folder, ...compiling(base, out));
  });

  it('the base itself, even with --force', async () => {
    const { folder, base } = placeModel(MODEL);
    await refuses('OUTPUT_IS_INPUT', folder, ...compiling(base, base, '--force'));
  });

  for (const [title, link] of [
    ['a link to the base', symlinkSync],
    ['another name of the base', linkSync],
  ] as const) {
    it(`${title}, even with --force`, async () => {
      const { folder, base } = placeModel(MODEL);
      const other = join(folder, 'other.onnx');
      link(base, other);
      await refuses('OUTPUT_IS_INPUT', folder, ...compiling(base, other, '--force'));
    });
  }

  it('the base by way of a linked folder, even with --force', async () => {
    const { folder, base } = placeModel(MODEL);
    symlinkSync(folder, join(folder, 'here'));
    const around = join(folder, 'here', basename(base));
    const digest = readFileSync(base);
    isRefused(await ipgraft(...compiling(base, around, '--force', '--json')), 'OUTPUT_IS_INPUT');
    assert.ok(readFileSync(base).equals(digest));
  });

  it('the data of the base, even with --force', async () => {
    const { folder, base } = placeModel(EXTERNAL);
    await refuses('OUTPUT_IS_INPUT', folder, ...compiling(base, `${base}_data`, '--force'));
  });

  it('the adapter, even with --force', async () => {
    const { folder, base } = placeModel(MODEL);
    const adapter = join(folder, 'adapter.safetensors');
    cpSync(ADAPTER, adapter);
    await refuses('OUTPUT_IS_INPUT', folder, 'compile', base, '-a', adapter, '-o', adapter, '--force');
  });

  for (const option of ['--report', '--projection']) {
    it(`the base as ${option}, even with --force`, async () => {
      const { folder, base } = placeModel(MODEL);
      const out = join(folder, 'out.onnx');
      await refuses('OUTPUT_IS_INPUT', folder, ...compiling(base, out, option, base, '--force'));
    });

    it(`${option} that exists: the model is not written either`, async () => {
      const { folder, base } = placeModel(MODEL);
      const other = join(folder, 'other');
      writeFileSync(other, 'precious');
      await refuses('OUTPUT_EXISTS', folder, ...compiling(base, join(folder, 'out.onnx'), option, other));
    });
  }

  it('the adapter as the output of project, even with --force', async () => {
    const { folder, path } = put('adapter.safetensors', readFileSync(ADAPTER));
    await refuses('OUTPUT_IS_INPUT', folder, 'project', path, '-o', path, '--force');
  });

  it('the patched model as the output of strip, even with --force', async () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'out.onnx');
    assert.equal((await ipgraft(...compiling(base, out))).code, 0);
    await refuses('OUTPUT_IS_INPUT', folder, 'strip', out, '-o', out, '--force');
  });

  it('a folder that is a file', async () => {
    const { folder, base } = placeModel(MODEL);
    await refuses('OUTPUT_FAILED', folder, ...compiling(base, join(base, 'out.onnx')));
  });

  it('a folder below a file', async () => {
    const { folder, base } = placeModel(MODEL);
    await refuses('OUTPUT_FAILED', folder, ...compiling(base, join(base, 'a', 'out.onnx')));
  });

  it('a file that is a folder, even with --force', async () => {
    const { folder, base } = placeModel(MODEL);
    mkdirSync(join(folder, 'out.onnx'));
    // Two files are to be written: the one that could be must not stay.
    const args = ['-a', adapterPath('sd15', 'plus'), '--tokens', 'embeds', '--force'];
    await refuses('OUTPUT_FAILED', folder, 'compile', base, '-o', join(folder, 'out.onnx'), ...args);
  });

  it('a name longer than names may be', async () => {
    const { folder, base } = placeModel(MODEL);
    await refuses('OUTPUT_FAILED', folder, ...compiling(base, join(folder, `${'n'.repeat(300)}.onnx`)));
  });

  it('a folder in which nobody may write', async () => {
    const folder = closedFolder();
    isRefused(
      await ipgraft(...compiling(modelPath(MODEL), join(folder, 'out.onnx'), '--json')),
      'OUTPUT_FAILED',
    );
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes('out.onnx')),
      [],
    );
  });

  it('a file that cannot take its place: the one that took its own is gone too, and so are new folders', async () => {
    const folder = freshFolder();
    const [first, second] = [join(folder, 'new', 'deeper', 'a'), join(folder, 'b')];
    const content = Rope.of(new Uint8Array(8));
    const blocking = {
      onProgress: (done: number, total: number) =>
        void (done === total && mkdirSync(join(second, 'full'), { recursive: true })),
    };
    const files = [first, second].map((path) => ({ path, content }));
    await assert.rejects(writeFiles(files, blocking), refusal('OUTPUT_FAILED'));
    assert.deepEqual(contentOf(folder), { b: 'folder', 'b/full': 'folder' });
  });

  /** Compiles into another folder, where the base's data is copied; `meanwhile` happens when some of it is written. */
  async function compileWhile(meanwhile: (files: { base: string; data: string; adapter: string }) => void) {
    const { folder, base } = placeModel(EXTERNAL);
    const files = { base, data: `${base}_data`, adapter: join(folder, 'adapter.safetensors') };
    copyFileSync(ADAPTER, files.adapter);
    const [model, adapter] = [await openModel(base), await openAdapter(files.adapter)];
    const out = freshFolder();
    let happened = false;
    try {
      const patched = await compile(model, { adapters: [adapter] });
      await writePatched(patched, join(out, 'out.onnx'), {
        onProgress: () => {
          if (!happened) meanwhile(files);
          happened = true;
        },
      });
    } finally {
      await Promise.all([model.close(), adapter.close()]);
      assert.ok(happened);
      assert.deepEqual(readdirSync(out), []);
    }
  }

  for (const file of ['base', 'data', 'adapter'] as const) {
    it(`${file} that is written to meanwhile`, async () => {
      const writing = compileWhile((files) => appendFileSync(files[file], 'x'));
      await assert.rejects(writing, refusal('OUTPUT_INPUT_CHANGED'));
    });

    it(`${file} that is touched, replaced or removed meanwhile`, async () => {
      const touching = compileWhile((files) => utimesSync(files[file], 1, 1));
      await assert.rejects(touching, refusal('OUTPUT_INPUT_CHANGED'));
      const replacing = compileWhile((files) => {
        copyFileSync(files[file], `${files[file]}.new`);
        renameSync(`${files[file]}.new`, files[file]);
      });
      await assert.rejects(replacing, refusal('OUTPUT_INPUT_CHANGED'));
      await assert.rejects(
        compileWhile((files) => rmSync(files[file])),
        refusal('OUTPUT_INPUT_CHANGED'),
      );
    });
  }

  it('a base that is cut short after it was opened', async () => {
    const { base } = placeModel(MODEL);
    const [model, adapter] = [await openModel(base), await openAdapter(ADAPTER)];
    const out = freshFolder();
    const patched = await compile(model, { adapters: [adapter] });
    truncateSync(base, 500_000);
    await assert.rejects(writePatched(patched, join(out, 'out.onnx')), refusal('WIRE_TRUNCATED'));
    await Promise.all([model.close(), adapter.close()]);
    assert.deepEqual(readdirSync(out), []);
  });

  it('a disk that is full', () => {
    const disk = mkdtempSync(join(freshFolder(), 'disk-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]).status === 0;
    try {
      const args = compiling(modelPath(MODEL), join(disk, 'out.onnx'), '--json');
      // Where no disk can be mounted: a process that may write 64 KiB per file.
      const limited = ['-c', 'ulimit -f 128; exec "$@"', 'sh', process.execPath, MAIN, ...args];
      const outcome = mounted ? ipgraftProcess(...args) : spawnSync('sh', limited, { encoding: 'utf8' });
      isRefused(
        { code: 'code' in outcome ? outcome.code : outcome.status, ...outcome } as Outcome,
        'OUTPUT_FAILED',
      );
      assert.deepEqual(readdirSync(disk), []);
    } finally {
      if (mounted) spawnSync('umount', [disk]);
      rmdirSync(disk);
    }
  });
});

describe('options that mean nothing are refused', () => {
  const start = ['compile', modelPath(MODEL)];
  const whole = [...start, '-a', ADAPTER];

  for (const [title, code, args] of [
    ['an unknown option', 'OPTION_INVALID', [...whole, '--strength', '1']],
    ['an unknown verb', 'OPTION_INVALID', ['graft', modelPath(MODEL)]],
    ['a word too many', 'OPTION_INVALID', ['inspect', modelPath(MODEL), 'another']],
    ['no base', 'OPTION_INVALID', ['compile']],
    ['an option without its value', 'OPTION_INVALID', [...whole, '--scale']],
    ['unknown --tokens', 'OPTION_INVALID', [...whole, '--tokens', 'both']],
    ['unknown --weights', 'OPTION_INVALID', [...whole, '--weights', 'move']],
    ['no adapter', 'OPTION_INVALID', start],
    [
      'an adapter and --init-from-text',
      'OPTION_INVALID',
      [...whole, '--init-from-text', '--num-tokens', '4'],
    ],
    ['--num-tokens without --init-from-text', 'OPTION_INVALID', [...whole, '--num-tokens', '4']],
    ['--init-from-text without --num-tokens', 'OPTION_INVALID', [...start, '--init-from-text']],
    ['--num-tokens 0', 'OPTION_INVALID', [...start, '--init-from-text', '--num-tokens', '0']],
    ['--num-tokens 1.5', 'OPTION_INVALID', [...start, '--init-from-text', '--num-tokens', '1.5']],
    ['--num-tokens four', 'OPTION_INVALID', [...start, '--init-from-text', '--num-tokens', 'four']],
    [
      '--tokens embeds without an adapter',
      'OPTION_INVALID',
      [...start, '--init-from-text', '--num-tokens', '4', '--tokens', 'embeds'],
    ],
    [
      '--projection without an adapter',
      'OPTION_INVALID',
      [...start, '--init-from-text', '--num-tokens', '4', '--projection', 'p.onnx'],
    ],
    ['--projection with two adapters', 'OPTION_INVALID', [...whole, '-a', ADAPTER, '--projection', 'p.onnx']],
    ['a --pattern that is no expression', 'OPTION_INVALID', [...whole, '--pattern', '/(/']],
    ['an empty --pattern', 'OPTION_INVALID', [...whole, '--pattern', '']],
    ['a --pattern that matches nothing', 'MATCH_PATTERN', [...whole, '--pattern', 'down_blocks.9.**']],
    ['a --pattern that matches self-attentions', 'MATCH_UNCONFIRMED', [...whole, '--pattern', '**.attn1']],
    ['a --text-input that is not there', 'MATCH_TEXT_INPUT', [...whole, '--text-input', 'prompt']],
    [
      'a --text-input that feeds no attention',
      'MATCH_NO_CROSS_ATTENTION',
      [...whole, '--text-input', 'sample'],
    ],
    ['--scale strong', 'OPTION_SCALE', [...whole, '--scale', 'strong']],
    ['--scale NaN', 'OPTION_SCALE', [...whole, '--scale', 'NaN']],
    ['--scale with a comma', 'OPTION_SCALE', [...whole, '--scale', '0,6']],
    ['an empty --scale', 'OPTION_SCALE', [...whole, '--scale', '']],
    ['--scale optional=', 'OPTION_SCALE', [...whole, '--scale', 'optional=']],
    ['--scale that is half JSON', 'OPTION_SCALE', [...whole, '--scale', '{"mid": 1']],
    [
      '--scale for a block that is not there',
      'OPTION_SCALE',
      [...whole, '--scale', '{"up": {"block_9": 1}}'],
    ],
    ['--scale for two adapters when there is one', 'OPTION_SCALE', [...whole, '--scale', '[1, 1]']],
    ['--scale 0, which does nothing', 'OPTION_SCALE', [...whole, '--scale', '0']],
  ] as const satisfies readonly (readonly [string, ErrorCode, readonly string[]])[]) {
    it(`${title}: ${code}`, async () => {
      const folder = freshFolder();
      const output = args[0] === 'compile' && args.length > 1 ? ['-o', join(folder, 'out.onnx')] : [];
      await refuses(code, folder, args[0]!, ...output, ...args.slice(1));
    });
  }

  it('compile without -o and without --dry-run', async () => {
    await refuses('OPTION_INVALID', freshFolder(), ...whole);
  });

  for (const verb of ['project', 'strip']) {
    it(`${verb} without -o`, async () => {
      await refuses('OPTION_INVALID', freshFolder(), verb, ADAPTER);
    });
  }

  it('--weights reference into another folder', async () => {
    const folder = freshFolder();
    const args = ['-o', join(folder, 'out.onnx'), '--weights', 'reference'];
    await refuses('OPTION_INVALID', folder, ...whole, ...args);
  });

  it('one file for two outputs', async () => {
    const { folder, base } = placeModel(MODEL);
    const out = join(folder, 'out.onnx');
    await refuses(
      'OPTION_INVALID',
      folder,
      'compile',
      base,
      '-a',
      ADAPTER,
      '-o',
      out,
      '--report',
      out,
      '--force',
    );
  });
});
