import { Worker } from 'node:worker_threads';

/** Runs in a thread of its own, where nothing of ours is loaded. Reads in pieces that stay in a processor's cache. */
const DIGEST = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { createHash } = require('node:crypto');
  const { readSync } = require('node:fs');
  const hash = createHash('sha256');
  const buffer = new Uint8Array(256 * 1024);
  for (let offset = 0, count; (count = readSync(workerData, buffer, 0, buffer.length, offset)) > 0; offset += count)
    hash.update(buffer.subarray(0, count));
  parentPort.postMessage(hash.digest('hex'));
`;

/** SHA-256 of an open file as hexadecimal digits, computed beside whatever else there is to do. */
export function digestBeside(file: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(DIGEST, { eval: true, workerData: file });
    worker.once('message', resolve).once('error', reject);
  });
}
