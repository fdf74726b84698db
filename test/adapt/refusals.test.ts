import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { draftOf, putFolders } from '../../compiler/io/folder-draft.js';
import { Rope } from '../../compiler/wire/rope.js';
import { contentOf, ipgraft } from '../command.js';
import { adapterPath, closedFolder, freshFolder } from '../fixtures.js';
import { type Case, pipelineCase } from './pipelines.js';

describe('adapt refuses, and leaves nothing', () => {
  let pipeline: Case;

  beforeEach(() => {
    pipeline = pipelineCase();
  });

  /** That a run is refused and that base and output are as they were. */
  async function refused(code: string, about: RegExp, args: readonly string[] = []): Promise<void> {
    const { base, adapter, out } = pipeline;
    const before = [contentOf(base), contentOf(dirname(out))];
    const words = args.length > 0 ? args : [base, '-a', adapter, '-o', out];
    const outcome = await ipgraft('adapt', ...words);
    assert.match(outcome.stderr, new RegExp(`^${code}: .*${about.source}`), outcome.stderr);
    assert.notEqual(outcome.code, 0);
    assert.deepEqual([contentOf(base), contentOf(dirname(out))], before);
  }

  it('a folder without a UNet, and what is no folder of a pipeline', async () => {
    const { base, adapter, out } = pipeline;
    renameSync(join(base, 'unet'), join(base, 'other'));
    await refused('MODEL_FOLDER_COMPONENT', /sought the folder unet/);
    await refused('MODEL_FOLDER', /model_index.json/, [join(base, 'scheduler'), '-a', adapter, '-o', out]);
  });

  it('an adapter for another UNet, by name', async () => {
    const { base, out } = pipeline;
    const sdxl = [base, '-a', adapterPath('sdxl', 'base'), '-o', out];
    await refused('ADAPTER_COUNT', /sdxl-base.safetensors/, sdxl);
  });

  it('a folder that is adapted already', async () => {
    const { adapter, out, adapt } = pipeline;
    assert.equal((await adapt()).code, 0);
    const again = [out, '-a', adapter, '-o', join(freshFolder(), 'again')];
    await refused('MODEL_ALREADY_PATCHED', /names adapter.safetensors/, again);
    rmSync(join(out, 'ipgraft.json'));
    await refused('MODEL_FOLDER_FILE', /image_proj: a folder of this name/, again);
    rmSync(join(out, 'image_proj'), { recursive: true });
    await refused('MODEL_ALREADY_PATCHED', /sought a base model/, again);
  });

  it('an output that is there, the base itself, or inside or around it', async () => {
    const { base, adapter, out } = pipeline;
    mkdirSync(out);
    writeFileSync(join(out, 'precious'), 'not to be lost');
    await refused('OUTPUT_EXISTS', /adapted exists/);
    const to = (output: string) => [base, '-a', adapter, '-o', output, '--force'];
    // Only what adapt wrote is replaced.
    await refused('OUTPUT_EXISTS', /adapted exists/, to(out));
    for (const output of [base, join(base, 'new'), join(base, 'unet', 'deep', 'new'), dirname(base)])
      await refused('OUTPUT_IS_INPUT', /the folder that is adapted/, to(output));
    const link = join(dirname(out), 'link');
    symlinkSync(base, link);
    await refused('OUTPUT_IS_INPUT', /the folder that is adapted/, to(join(link, 'new')));
    await refused('OUTPUT_FAILED', /it is no folder/, to(join(out, 'precious')));
  });

  it('an output that holds an input, and a report inside the output', async () => {
    const { base, adapter, out, adapt } = pipeline;
    assert.equal((await adapt()).code, 0);
    const inside = join(out, 'adapter.safetensors');
    renameSync(adapter, inside);
    await refused('OUTPUT_IS_INPUT', /holds one of the inputs/, [base, '-a', inside, '-o', out, '--force']);
    const fresh = join(freshFolder(), 'fresh');
    const report = [base, '-a', inside, '-o', fresh, '--report', join(fresh, 'r.json')];
    await refused('OPTION_INVALID', /--report: sought a file outside/, report);
  });

  it('links that leave the folder, also of files that nothing reads, broken ones and pipes', async () => {
    const { base } = pipeline;
    const outside = join(freshFolder(), 'secret');
    writeFileSync(outside, 'secret');
    const link = join(base, 'vae_decoder', 'extra.json');
    symlinkSync(outside, link);
    await refused('MODEL_FOLDER_ESCAPES', /vae_decoder\/extra.json/);
    rmSync(link);
    symlinkSync('nowhere', link);
    await refused('MODEL_FOLDER_FILE', /vae_decoder\/extra.json: sought a file, found a broken link/);
    rmSync(link);
    symlinkSync('../unet', link);
    await refused('MODEL_FOLDER_FILE', /vae_decoder\/extra.json: sought a file, found a link to a folder/);
  });

  it('options that say nothing or too little', async () => {
    const { base, adapter } = pipeline;
    await refused('OPTION_INVALID', /sought -o DIR2/, [base, '-a', adapter]);
    await refused('OPTION_INVALID', /--adapter/, [base, '-o', 'x']);
    await refused('OPTION_SCALE', /loud/, [base, '-a', adapter, '--dry-run', '--scale', 'loud']);
  });

  it('where it may not write', async () => {
    const { base, adapter } = pipeline;
    const out = join(closedFolder(), 'adapted');
    await refused('OUTPUT_FAILED', /(no permission|read-only)/, [base, '-a', adapter, '-o', out]);
    assert.equal(existsSync(out), false);
  });

  it('into the place of a file: nothing is left of a run whose output cannot be made', async () => {
    const { base, adapter, out } = pipeline;
    writeFileSync(out, '');
    await refused('OUTPUT_FAILED', /its folder is a file/, [
      base,
      '-a',
      adapter,
      '-o',
      join(out, 'deep', 'x'),
    ]);
  });
});

describe('a folder on its way to the disk', () => {
  const content = Rope.of(new Uint8Array(16 * 1024 * 1024).fill(7));

  it('is not there before it is complete, and not at all when it is stopped', async () => {
    const target = join(freshFolder(), 'new', 'deep', 'folder');
    const stop = new AbortController();
    const files = ['a', 'b/c'].map((name) => ({ path: join(draftOf(target), name), content }));
    let count = 0;
    const onProgress = () => {
      assert.deepEqual(
        readdirSync(dirname(target)).filter((name) => !name.startsWith('.')),
        [],
      );
      if (++count === 3) stop.abort();
    };
    await assert.rejects(putFolders([target], files, { onProgress, signal: stop.signal }), {
      name: 'AbortError',
    });
    assert.ok(count >= 3);
    assert.deepEqual(readdirSync(join(target, '..', '..', '..')), []);
  });

  it('takes the place of another as a whole, or leaves it as it was', async () => {
    const target = join(freshFolder(), 'folder');
    mkdirSync(target);
    writeFileSync(join(target, 'old'), 'old');
    const before = contentOf(target);
    const stop = new AbortController();
    const writing = (signal: AbortSignal, force: boolean) =>
      putFolders([target], [{ path: join(draftOf(target), 'new'), content }], {
        signal,
        force,
        onProgress: () => stop.abort(),
      });
    await assert.rejects(writing(new AbortController().signal, false), { code: 'OUTPUT_EXISTS' });
    await assert.rejects(writing(stop.signal, true), { name: 'AbortError' });
    assert.deepEqual(contentOf(target), before);
    await writing(new AbortController().signal, true);
    assert.deepEqual(readdirSync(target), ['new']);
    assert.deepEqual(readdirSync(dirname(target)), ['folder']);
  });

  it('comes with others, or not at all: all are judged, and what is in their places stays', async () => {
    const parent = freshFolder();
    const [first, second] = ['first', 'second'].map((name) => join(parent, name)) as [string, string];
    mkdirSync(first);
    writeFileSync(join(first, 'old'), 'old');
    const before = contentOf(parent);
    const putting = (check: () => Promise<void>) =>
      putFolders(
        [first, second],
        [first, second].map((target) => ({ path: join(draftOf(target), 'new'), content })),
        { force: true, emptyFolders: [join(draftOf(second), 'empty')], check },
      );
    await assert.rejects(
      putting(() => Promise.reject(new Error('bad'))),
      /bad/,
    );
    assert.deepEqual(contentOf(parent), before);
    // The second cannot take its place: the first gives its own back.
    const blocked = putting(async () => rmSync(draftOf(second), { recursive: true }));
    await assert.rejects(blocked, { code: 'ENOENT' });
    assert.deepEqual(contentOf(parent), before);
    await putting(async () => {});
    assert.deepEqual(Object.keys(contentOf(parent)).sort(), [
      'first',
      'first/new',
      'second',
      'second/empty',
      'second/new',
    ]);
  });
});
