import { spawn } from 'node:child_process';
import { constants, copyFile, type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Rope } from '../wire/rope.js';
import { type FileSource, openFile } from './file-source.js';
import { type OnWritten, writeRopeAt } from './file-writer.js';
import { inputChanged } from './input-file.js';

/** To start a process takes as long as to copy so much. Bytes. */
const WORTH_A_PROCESS = 64 * 1024 * 1024;
/** How often a copy that runs elsewhere is asked how far it is. Milliseconds. */
const GLANCE = 50;

/**
 * Copies a file that was there a moment ago: by sharing its blocks where the file system can, else by the kernel, else through a buffer.
 * @throws IpgraftError `OUTPUT_INPUT_CHANGED` when it is gone
 */
export async function copyWhole(from: string, to: string, onWritten: OnWritten): Promise<void> {
  if (await sharesBlocks(from, to)) return onWritten((await stat(to)).size);
  const source = await openFile(from).catch(() => {
    throw inputChanged(from, 'it cannot be opened any more');
  });
  try {
    const target = await open(to, 'wx');
    try {
      const offset = source.size < WORTH_A_PROCESS ? 0 : await copyByKernel(source, target, onWritten);
      const rest = { kind: 'stored', length: source.size - offset, source, offset } as const;
      await writeRopeAt(target, offset, new Rope([rest]), onWritten);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Whether the copy is made that way. Most file systems cannot; whatever else is wrong shows again in another way of copying. */
async function sharesBlocks(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch {
    return false;
  }
}

/**
 * Lets `cat` copy: coreutils' hands both files to the kernel (copy_file_range), so no byte passes through a process, this one is free
 * for other work, and whoever wants it stopped need not wait, as Node's own `copyFile` would make him.
 * Answers with how many bytes it copied: fewer than all where there is no such program, or a reason that the rest will show again.
 */
async function copyByKernel(source: FileSource, target: FileHandle, onWritten: OnWritten): Promise<number> {
  const cat = spawn('cat', { stdio: [source.file, target.fd, 'ignore'] });
  const ended = new Promise((resolve) => cat.once('exit', resolve).once('error', resolve));
  try {
    onWritten(0);
    for (let done = 0, running = true; ; ) {
      running = await Promise.race([ended.then(() => false), sleep(GLANCE, true, { ref: false })]);
      const { size } = await target.stat();
      onWritten(size - done);
      done = size;
      if (!running) return done;
    }
  } finally {
    cat.kill('SIGKILL');
    await ended;
  }
}
