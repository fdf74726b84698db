import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { copyWhole } from '../../../compiler/io/copy-file.js';
import { freshFolder } from '../../fixtures.js';
import { refusal } from '../../refusal.js';

/** Long enough that the kernel is asked, mostly holes, so that it takes no time to make. Bytes. */
const SIZE = 96 * 1024 * 1024 + 5;

function sparseFile(size = SIZE): string {
  const path = join(freshFolder(), 'data');
  const file = openSync(path, 'wx');
  for (const position of [0, 1, 32_767, 65_536, 20_000_001, size - 4])
    if (position < size) writeSync(file, Buffer.from(`${position % 997}.`), 0, undefined, position);
  ftruncateSync(file, size);
  closeSync(file);
  return path;
}

async function copies(from: string, to: string): Promise<void> {
  let written = 0;
  await copyWhole(from, to, (bytes) => {
    written += bytes;
  });
  assert.equal(written, statSync(from).size);
  assert.ok(readFileSync(to).equals(readFileSync(from)));
}

describe('copying a file', () => {
  for (const size of [0, 1, 65_536, 1_000_001, SIZE]) {
    it(`of ${size} bytes: the same bytes, and all of them are reported`, async () => {
      await copies(sparseFile(size), join(freshFolder(), 'copy'));
    });
  }

  it('where there is no program that asks the kernel', async () => {
    const { PATH } = process.env;
    process.env.PATH = '/nowhere';
    try {
      await copies(sparseFile(), join(freshFolder(), 'copy'));
    } finally {
      process.env.PATH = PATH;
    }
  });

  it('into another file system', async function () {
    if (!existsSync('/dev/shm')) this.skip();
    const folder = mkdtempSync('/dev/shm/ipgraft-test-');
    try {
      await copies(sparseFile(), join(folder, 'copy'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('never over a file that is there', async () => {
    const [from, to] = [sparseFile(), sparseFile()];
    await assert.rejects(
      copyWhole(from, to, () => {}),
      { code: 'EEXIST' },
    );
  });

  it('ends when it is stopped, and nobody writes on', async () => {
    const to = join(freshFolder(), 'copy');
    const stopped = new Error('stopped');
    const copying = copyWhole(sparseFile(1024 * 1024 * 1024), to, () => {
      throw stopped;
    });
    await assert.rejects(copying, stopped);
    const { size } = statSync(to);
    await sleep(100);
    assert.equal(statSync(to).size, size);
  });

  it('onto a disk that is full: what the file system says', async function () {
    const disk = freshFolder();
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', disk]).status !== 0) this.skip();
    try {
      await assert.rejects(
        copyWhole(sparseFile(), join(disk, 'copy'), () => {}),
        { code: 'ENOSPC' },
      );
    } finally {
      spawnSync('umount', [disk]);
    }
  });

  it('of a file that is gone', async () => {
    const gone = copyWhole(join(freshFolder(), 'data'), join(freshFolder(), 'copy'), () => {});
    await assert.rejects(gone, refusal('OUTPUT_INPUT_CHANGED'));
  });
});
