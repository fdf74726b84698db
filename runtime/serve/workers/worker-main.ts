/**
 * The program of a worker: loads one model and runs what it is asked to, one request after the other. Pipes, by descriptor: 3 brings
 * orders and takes answers, 4 ends the process when its other end goes.
 */
import { writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { IpgraftError } from '../../../compiler/errors.js';
import { type Frame, onFrames, sendFrame } from './frames.js';
import { endWithParent } from './lifeline.js';
import { loadModel } from './load-model.js';
import type { Answer, LoadOrder, RunOrder } from './messages.js';

const ORDERS = 3;
const LIFELINE = 4;

endWithParent(LIFELINE);
// Where memory is short Linux ends the largest process: that must be a worker, which is replaced, never the server before it.
try {
  writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {
  // Elsewhere there is no such file.
}
// A Ctrl-C reaches every process of a terminal. Who is to stop, and when, is the parent's to say.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
// Newer Node.js has an array for float16, and onnxruntime-node loses count of its bytes. Without it, it takes them as they are.
Reflect.deleteProperty(globalThis, 'Float16Array');

const orders = new Socket({ fd: ORDERS, readable: true, writable: true });
orders.on('error', () => {});

/** Sends what comes of some work, be it an error. */
async function answer(work: () => Promise<Frame<Answer>>): Promise<void> {
  try {
    sendFrame(orders, await work());
  } catch (error) {
    sendFrame<Answer>(orders, { head: failed(error), parts: [] });
  }
}

function failed(error: unknown): Answer {
  const { code, message, facts, hint } =
    error instanceof IpgraftError ? error : new IpgraftError('RUNTIME_RUN', (error as Error).message);
  return { kind: 'failed', code, message, facts, hint };
}

const model = loadModel(JSON.parse(process.argv[2]!) as LoadOrder);
void answer(async () => ({ head: (await model).loaded, parts: [] }));
onFrames<RunOrder>(orders, ({ head, parts }) => {
  void answer(async () => (await model).run(head, parts));
});
