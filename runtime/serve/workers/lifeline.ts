import { Worker } from 'node:worker_threads';

/**
 * Waits, in a thread of its own, for the other end of a pipe to go, and then ends the whole process: a thread, because ONNX Runtime
 * holds the main one during a run, and SIGKILL, because nothing milder ends a process in that state.
 */
const LIFELINE = `
  const { Socket } = require('node:net');
  const { workerData } = require('node:worker_threads');
  new Socket({ fd: workerData, readable: true, writable: false })
    .on('error', () => {})
    .on('close', () => process.kill(process.pid, 'SIGKILL'))
    .resume();
`;

/** Lets this process end with whoever holds the other end of the pipe `fd`, however that one ends. */
export function endWithParent(fd: number): void {
  new Worker(LIFELINE, { eval: true, workerData: fd }).unref();
}
