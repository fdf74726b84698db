import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { GenerateReport } from '../../runtime/cli/generate-command.js';
import { ipgraft, MAIN } from '../command.js';
import { freshFolder } from '../fixtures.js';
import { patchFile } from '../patched.js';
import { until, workersOf } from '../serve/processes.js';
import { unpackPipeline } from './unpacked.js';

/** A safetensors file of float32 tensors. */
function writeTensors(
  path: string,
  tensors: Readonly<Record<string, { shape: number[]; data: Float32Array }>>,
): void {
  let offset = 0;
  const header = Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      const begin = offset;
      offset += data.byteLength;
      return [name, { dtype: 'F32', shape, data_offsets: [begin, offset] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header).padEnd(8 * Math.ceil(JSON.stringify(header).length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const bodies = Object.values(tensors).map(({ data }) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  );
  writeFileSync(path, Buffer.concat([length, json, ...bodies]));
}

/** The text chunks of a PNG file, by keyword. */
function textsIn(path: string): Record<string, string> {
  const bytes = readFileSync(path);
  const found: Record<string, string> = {};
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const data = bytes.subarray(at + 8, at + 8 + length);
    const end = data.indexOf(0);
    if (type === 'tEXt') found[data.toString('latin1', 0, end)] = data.toString('latin1', end + 1);
    if (type === 'iTXt') found[data.toString('latin1', 0, end)] = data.toString('utf8', end + 5);
    at += 12 + length;
  }
  return found;
}

const pixels = async (path: string) => (await sharp(path).raw().toBuffer()).toString('hex');

describe('ipgraft generate', () => {
  let folder: string;
  let pipeline: string;
  let projection: string;
  let embeds: string;

  before(async () => {
    folder = unpackPipeline();
    pipeline = join(folder, 'onnx');
    const unet = join(pipeline, 'unet', 'model.onnx');
    cpSync((await patchFile(unet, [join(folder, 'adapter.safetensors')], { scale: 'input' })).path, unet);
    projection = join(folder, 'image_proj.onnx');
    assert.equal(
      (await ipgraft('project', join(folder, 'adapter.safetensors'), '-o', projection, '--json')).code,
      0,
    );
    embeds = join(folder, 'embeds.safetensors');
    const data = Float32Array.from({ length: 20 }, (_, i) => Math.sin(i));
    writeTensors(embeds, { image_embeds: { shape: [1, 1, 20], data } });
  });

  /** Runs it with few steps; answers with what it printed. */
  async function generated(...args: readonly string[]): Promise<GenerateReport> {
    const { code, stdout, stderr } = await ipgraft(
      'generate',
      pipeline,
      '--steps',
      '2',
      '--threads',
      '1',
      '--json',
      ...args,
    );
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as GenerateReport;
  }

  /** That it is refused with this code, and that nothing was written. */
  async function refused(code: string, about: RegExp, ...args: readonly string[]): Promise<void> {
    const out = join(freshFolder(), 'out.png');
    const { stdout } = await ipgraft(
      'generate',
      pipeline,
      '--steps',
      '2',
      '--threads',
      '1',
      '--json',
      '-o',
      out,
      ...args,
    );
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, code, error.message);
    assert.match(error.message, about);
    assert.equal(existsSync(out), false);
  }

  it('writes a picture of the size that was asked for, with what it was made of inside', async () => {
    const out = join(freshFolder(), 'out.png');
    const size = ['--width', '48', '--height', '32'];
    const report = await generated('-p', 'a fox', '-n', 'blur', ...size, '-o', out);
    assert.deepEqual(
      { ...report, seconds: 0, pictures: report.pictures.map(({ file, seed }) => ({ file, seed })) },
      {
        pictures: [{ file: 'out.png', seed: 42 }],
        width: 48,
        height: 32,
        scheduler: 'ddim',
        steps: 2,
        seconds: 0,
        warnings: [],
      },
    );
    const { width, height, format } = await sharp(out).metadata();
    assert.deepEqual([width, height, format], [48, 32, 'png']);
    assert.match(
      textsIn(out).parameters!,
      /^a fox\nNegative prompt: blur\nSteps: 2, Sampler: DDIM, CFG scale: 7.5, Seed: 42, Size: 48x32, Model: onnx, Version: ipgraft /,
    );
  });

  it('looks at an image, as strongly as it is told, in the steps that it is told', async () => {
    const out = freshFolder();
    const look = ['--projection', projection, '--image-embeds', embeds];
    const paint = async (name: string, ...args: readonly string[]) => {
      await generated('-p', 'a fox', '-o', join(out, name), ...args);
      return pixels(join(out, name));
    };
    const plain = await paint('plain.png');
    const seen = await paint('seen.png', ...look, '--scale', '0.8');
    assert.notEqual(seen, plain);
    assert.notEqual(await paint('less.png', ...look, '--scale', '0.4'), seen);
    assert.equal(await paint('off.png', ...look, '--scale', '0'), plain);
    assert.equal(await paint('never.png', ...look, '--start', '1'), plain);
    assert.notEqual(await paint('once.png', ...look, '--scale', '0.8', '--end', '0.5'), seen);
    assert.match(textsIn(join(out, 'seen.png')).parameters!, /IP-Adapter: adapter.safetensors 0.8/);
  });

  it('takes one scale for all layers alone, where the UNet has no more', async () => {
    const scaled = ['-p', 'x', '--projection', projection, '--image-embeds', embeds, '--scale'];
    await refused('PIPELINE_IMAGE_PROMPT', /sought one scale, found one for each/, ...scaled, '{"mid": 0.5}');
    await refused('OPTION_INVALID', /--scale {: sought a number, or JSON/, ...scaled, '{');
    await refused('PIPELINE_REQUEST', /adapters.0.scale.*middle/, ...scaled, '{"middle": 1}');
  });

  describe('with a UNet that takes a scale per layer', () => {
    const scaled = (scale: string) => [
      ...['-p', 'a fox', '--projection', projection],
      ...['--image-embeds', embeds, '--scale', scale],
    ];
    let other: string;

    before(async () => {
      [other, pipeline] = [pipeline, join(unpackPipeline(), 'onnx')];
      const unet = join(pipeline, 'unet', 'model.onnx');
      const { path } = await patchFile(unet, [join(folder, 'adapter.safetensors')], { scale: 'layers' });
      cpSync(path, unet);
    });

    after(() => {
      pipeline = other;
    });

    it('takes it as a list or by block', async () => {
      const paint = async (scale: string) => {
        const out = join(freshFolder(), 'out.png');
        await generated('-o', out, ...scaled(scale));
        return [await pixels(out), textsIn(out).parameters!] as const;
      };
      const [byBlock, text] = await paint('{"down": {"block_2": [0, 1]}, "mid": 0.5}');
      const [asList] = await paint(`[${[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5]}]`);
      assert.equal(byBlock, asList);
      assert.notEqual(byBlock, (await paint('{"up": 1}'))[0]);
      assert.match(text, /IP-Adapter: "adapter.safetensors {.*block_2/);
    });

    it('says which blocks and how many attentions it has', async () => {
      for (const [scale, why] of [
        [
          '{"up": {"block_0": 1}}',
          /its scale: up has cross-attentions in block_1, block_2, block_3, not in block_0/,
        ],
        ['{"up": {"block_1": [1, 1]}}', /its scale: up.block_1 has 3 attentions, the list has 2 numbers/],
        ['[1, 1]', /sought 16 scales, one for each cross-attention, found 2/],
      ] as const)
        await refused('PIPELINE_IMAGE_PROMPT', why, ...scaled(scale));
    });
  });

  it('makes the pictures of a batch from seeds of their own', async () => {
    const out = freshFolder();
    const { pictures } = await generated('-p', 'a fox', '--batch', '2', '-o', join(out, 'some.png'));
    assert.deepEqual(
      pictures.map(({ file, seed }) => ({ file, seed })),
      [
        { file: 'some-1.png', seed: 42 },
        { file: 'some-2.png', seed: 43 },
      ],
    );
    await generated('-p', 'a fox', '--seed', '43', '-o', join(out, 'alone.png'));
    const [batched, alone] = await Promise.all(
      ['some-2.png', 'alone.png'].map((name) => sharp(join(out, name)).raw().toBuffer()),
    );
    assert.ok(batched!.every((value, i) => Math.abs(value - alone![i]!) <= 1));
  });

  it('starts from a picture, paints inside of a mask, and writes previews', async () => {
    const out = freshFolder();
    const scene = join(out, 'scene.png');
    const mask = join(out, 'mask.png');
    await sharp({ create: { width: 40, height: 32, channels: 3, background: '#8040c0' } })
      .png()
      .toFile(scene);
    await sharp({ create: { width: 40, height: 32, channels: 3, background: '#000' } })
      .png()
      .toFile(mask);
    const args = [
      '-p',
      'a fox',
      '--init-image',
      scene,
      '--strength',
      '1',
      '--preview',
      join(out, 'rough.png'),
    ];
    const { width, height } = await generated(...args, '-o', join(out, 'whole.png'));
    assert.deepEqual([width, height], [32, 32]);
    const { width: rough } = await sharp(join(out, 'rough.png')).metadata();
    assert.equal(rough, 16);
    await generated(...args, '--mask', mask, '-o', join(out, 'none.png'));
    assert.notEqual(await pixels(join(out, 'none.png')), await pixels(join(out, 'whole.png')));
  });

  it('reads prompts of any length and in any letters', async () => {
    const out = freshFolder();
    const { warnings } = await generated('-p', 'x'.repeat(10_000), '-o', join(out, 'long.png'));
    assert.match(warnings[0]!, /^prompt: /);
    await generated('-p', '漢字 🦊', '-o', join(out, 'unknown.png'));
    assert.match(textsIn(join(out, 'unknown.png')).parameters!, /^漢字 🦊\n/);
    await generated('-p', '', '-o', join(out, 'empty.png'));
  });

  it('refuses what is no image, what is too large, and sizes that the UNet cannot take', async () => {
    const text = join(freshFolder(), 'text.png');
    writeFileSync(text, 'no image');
    await refused('PIPELINE_IMAGE', /text.png: it is no image/, '-p', 'x', '--init-image', text);
    const huge = join(freshFolder(), 'huge.png');
    await sharp({ create: { width: 10_000, height: 10_000, channels: 3, background: '#fff' } })
      .png()
      .toFile(huge);
    await refused('PIPELINE_IMAGE', /more than 64 megapixels/, '-p', 'x', '--init-image', huge);
    const cut = join(freshFolder(), 'cut.png');
    writeFileSync(cut, readFileSync(huge).subarray(0, 60));
    await refused('PIPELINE_IMAGE', /cut.png/, '-p', 'x', '--init-image', cut);
    await refused('PIPELINE_REQUEST', /width: sought a multiple of 16, found 40/, '-p', 'x', '--width', '40');
    await refused('PIPELINE_REQUEST', /^steps: /, '-p', 'x', '--steps', '0');
    const missing = join(freshFolder(), 'none.png');
    await refused('OPTION_FILE_MISSING', /none.png/, '-p', 'x', '--mask', missing);
    const small = join(freshFolder(), 'small.png');
    await sharp({ create: { width: 9, height: 9, channels: 3, background: '#fff' } })
      .png()
      .toFile(small);
    await refused('PIPELINE_REQUEST', /mask: sought a picture/, '-p', 'x', '--mask', small);
    await refused('OPTION_INVALID', /--image 2=/, '-p', 'x', '--image', '2=a.png');
  });

  it('says what image prompts need that the folder has not', async () => {
    await refused('MODEL_FOLDER_COMPONENT', /image projection/, '-p', 'x', '--image-embeds', embeds);
    const image = join(freshFolder(), 'image.png');
    await sharp({ create: { width: 9, height: 9, channels: 3, background: '#fff' } })
      .png()
      .toFile(image);
    await refused('MODEL_FOLDER_COMPONENT', /image_encoder/, '-p', 'x', '--image', image);
    const wrong = join(freshFolder(), 'wrong.safetensors');
    writeTensors(wrong, { other: { shape: [1], data: new Float32Array(1) } });
    await refused('PIPELINE_IMAGE_PROMPT', /image_embeds, found other/, '-p', 'x', '--image-embeds', wrong);
  });

  it('ends when it is interrupted, with nothing written and no process left', async () => {
    const [folder, rough] = [freshFolder(), join(freshFolder(), 'rough.png')];
    const args = ['-p', 'x', '--steps', '999', '--preview', rough, '-o', join(folder, 'out.png')];
    const child = spawn(process.execPath, [MAIN, 'generate', pipeline, ...args]);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    const ended = once(child, 'exit');
    await until(() => existsSync(rough) || child.exitCode !== null, 60_000);
    const workers = workersOf(child.pid);
    child.kill('SIGINT');
    assert.deepEqual(await ended, [130, null], said);
    assert.match(said, /^interrupted: nothing was written$/m);
    assert.deepEqual([workers, readdirSync(folder)], [[], []]);
  });

  it('leaves what exists alone, and nothing behind when the disk takes no more', async () => {
    const out = join(freshFolder(), 'out.png');
    writeFileSync(out, 'mine');
    const { stdout } = await ipgraft('generate', pipeline, '-p', 'x', '-o', out, '--json');
    assert.equal(JSON.parse(stdout).error.code, 'OUTPUT_EXISTS');
    assert.equal(readFileSync(out, 'utf8'), 'mine');
    const folder = freshFolder();
    const args = [
      'generate',
      pipeline,
      '-p',
      'x',
      '--steps',
      '1',
      '--threads',
      '1',
      '-o',
      join(folder, 'out.png'),
    ];
    const limited = ['-c', 'ulimit -f 1; exec "$@"', 'sh', process.execPath, MAIN, ...args];
    const { status, stderr } = spawnSync('sh', limited, { encoding: 'utf8' });
    assert.equal(status, 8, stderr);
    assert.match(stderr, /OUTPUT_FAILED/);
    assert.deepEqual(readdirSync(folder), []);
  });
});
