import { availableParallelism } from 'node:os';
import { IpgraftError } from '../../../compiler/errors.js';
import type { Provider } from '../../session/load-runtime.js';
import type { InferenceTimes, ServedModel } from '../backend.js';
import { fitInputs, fitOutputs } from '../fit-inputs.js';
import { LONGEST_TIMER } from '../longest-timer.js';
import type { Tensor } from '../tensor.js';
import type { LoadOrder } from './messages.js';
import type { Served } from './request.js';
import { type PoolOptions, WorkerPool } from './worker-pool.js';

/** How a model is served. */
export interface ServeOptions extends Partial<PoolOptions> {
  /** Threads of one run. Default: the processors, shared among the workers. */
  readonly threads?: number;
  /** Bytes of outputs that one answer may have. Default: 2 GiB. */
  readonly maxAnswer?: number;
  /** Default `cpu`. */
  readonly provider?: Provider;
}

const DEFAULTS: PoolOptions = { workers: 1, queueSize: 64, loadTimeout: 600_000, runTimeout: 600_000 };
/** Bytes that a frame holds easily. */
const MAX_ANSWER = 2 ** 31;
/** What {@link ServedModel.close} waits for when nothing else is said. Milliseconds. */
const GRACE = 30_000;

/**
 * Loads an ONNX model in `workers` child processes (1), of which each runs one request at a time; up to `queueSize` (64) others wait. Answers are bit
 * for bit those of onnxruntime-node. A load may take `loadTimeout` milliseconds, a run `runTimeout` (600,000 each): what takes longer is ended.
 * The processes end with {@link ServedModel.close}, and with this process however it ends.
 * @throws IpgraftError `RUNTIME_MISSING`, `RUNTIME_LOAD`, `OPTION_INVALID`
 */
export async function serveModel(path: string, options: ServeOptions = {}): Promise<ServedModel> {
  const limits: PoolOptions = { ...DEFAULTS, ...options };
  const order: LoadOrder = {
    model: path,
    threads: options.threads ?? Math.max(1, Math.floor(availableParallelism() / limits.workers)),
    provider: options.provider ?? 'cpu',
    maxAnswer: options.maxAnswer ?? MAX_ANSWER,
  };
  checkNumbers({ ...limits, threads: order.threads });
  const pool = await WorkerPool.start(order, limits);
  const { inputs, outputs } = pool.loaded;
  return {
    inputs,
    outputs,
    async infer(tensors, { outputs: asked = [], ...rest } = {}) {
      const names = fitOutputs(asked, outputs);
      const fitted = fitInputs(tensors, inputs);
      const head = {
        inputs: fitted.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
        outputs: names,
      };
      const served = await pool.run({ head, parts: fitted.map(({ data }) => data) }, rest);
      const { frame } = served;
      const results = frame.head.outputs.map((output, index) => ({ ...output, data: frame.parts[index]! }));
      return { outputs: results, times: timesOf(served, sizeOf(fitted), sizeOf(results)) };
    },
    get load() {
      return pool.load;
    },
    get fault() {
      return pool.fault;
    },
    hasChanged: () => pool.hasChanged(),
    close: (grace = GRACE) => pool.close(grace),
  };
}

/** What is neither of the queue nor of the worker is the way there and back: split by the bytes that travel. */
function timesOf({ frame, queue, asked }: Served, sent: number, received: number): InferenceTimes {
  const { computeInput, computeInfer, computeOutput } = frame.head;
  const way = Math.max(0, asked - computeInput - computeInfer - computeOutput);
  const there = Math.round((way * sent) / Math.max(1, sent + received));
  return {
    queue,
    computeInput: computeInput + there,
    computeInfer,
    computeOutput: computeOutput + way - there,
  };
}

function sizeOf(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
}

function checkNumbers(numbers: PoolOptions & { readonly threads: number }): void {
  for (const [name, lowest] of [
    ['workers', 1],
    ['threads', 1],
    ['queueSize', 0],
    ['loadTimeout', 1],
    ['runTimeout', 1],
  ] as const) {
    const found = numbers[name];
    if (Number.isSafeInteger(found) && found >= lowest && found <= LONGEST_TIMER) continue;
    const sought = `a whole number from ${lowest} to ${LONGEST_TIMER}`;
    throw new IpgraftError('OPTION_INVALID', `${name}: sought ${sought}, found ${found}`, { found });
  }
}
