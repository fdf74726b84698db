import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Drafts } from '../../../compiler/io/write-files.js';
import { Rope } from '../../../compiler/wire/rope.js';
import { ipgraft } from '../../command.js';
import { adapterPath, freshFolder, modelPath } from '../../fixtures.js';
import { refusal } from '../../refusal.js';

/** Long enough for a process of its own. Bytes. */
const LONG = 80 * 1024 * 1024;

const bytes = (text: string) => Rope.of(new TextEncoder().encode(text));

function longFile() {
  const copyOf = join(freshFolder(), 'data');
  writeFileSync(copyOf, Buffer.alloc(LONG, 7));
  return { copyOf, size: LONG };
}

describe('files that are begun before all are known', () => {
  it('take their places with the others', async () => {
    const folder = join(freshFolder(), 'new');
    const [data, model] = [join(folder, 'data'), join(folder, 'model')];
    const content = longFile();
    const drafts = new Drafts({});
    await drafts.begin({ path: data, content }, []);
    assert.deepEqual([existsSync(data), readdirSync(folder).length], [false, 1]);
    const reports: number[][] = [];
    const files = [
      { path: data, content },
      { path: model, content: bytes('model') },
    ];
    await drafts.finish(files, { onProgress: (done, total) => reports.push([done, total]) });
    assert.deepEqual(readdirSync(folder).sort(), ['data', 'model']);
    assert.deepEqual([statSync(data).size, readFileSync(model, 'utf8')], [LONG, 'model']);
    assert.deepEqual(reports.at(-1), [LONG + 5, LONG + 5]);
  });

  it('leave nothing, and no folder, when they are abandoned', async () => {
    const folder = freshFolder();
    const drafts = new Drafts({});
    await drafts.begin({ path: join(folder, 'new', 'deep', 'data'), content: longFile() }, []);
    await drafts.abandon();
    assert.deepEqual(readdirSync(folder), []);
  });

  it('leave nothing when another file is refused', async () => {
    const folder = freshFolder();
    const [data, model] = [join(folder, 'data'), join(folder, 'model')];
    writeFileSync(model, 'somebody else’s');
    const content = longFile();
    const drafts = new Drafts({});
    await drafts.begin({ path: data, content }, []);
    const files = [
      { path: data, content },
      { path: model, content: bytes('') },
    ];
    const finishing = drafts.finish(files, {});
    await assert.rejects(finishing, refusal('OUTPUT_EXISTS'));
    assert.deepEqual(readdirSync(folder), ['model']);
  });

  it('are refused where a file is already', async () => {
    const path = join(freshFolder(), 'data');
    writeFileSync(path, '');
    await assert.rejects(new Drafts({}).begin({ path, content: longFile() }, []), refusal('OUTPUT_EXISTS'));
  });

  it('leave nothing when the compilation is refused', async () => {
    const folder = join(freshFolder(), 'new');
    const base = modelPath('sd15-sdpa-ts17-external');
    const { code } = await ipgraft(
      ...['compile', base, '-a', adapterPath('sdxl', 'base'), '-o', join(folder, 'out.onnx')],
    );
    assert.equal(code, 3);
    assert.ok(!existsSync(folder));
  });
});
