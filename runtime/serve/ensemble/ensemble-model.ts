import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import type { InferenceTimes, ServedModel } from '../backend.js';
import type { ModelConfig } from '../config/model-config.js';
import { ensembleInterface, producersOf } from './check-ensemble.js';
import { EnsembleRun, type FindMember } from './ensemble-run.js';

/** What {@link ServedModel.close} waits for when nothing else is said. Milliseconds. */
const GRACE = 30_000;

/**
 * Models that run one after the other as one: each step as soon as what it reads is there, and only those that the outputs asked for need.
 * Tensors go from step to step as they are. Time is the sum of the steps'.
 * @param find the models as they are at that moment, so that one that is loaded again takes the place of the old one
 */
export function ensembleModel(config: ModelConfig, find: FindMember): ServedModel {
  const { inputs, outputs } = ensembleInterface(config);
  const producers = producersOf(config);
  const running = new Map<EnsembleRun, Promise<unknown>>();
  let isClosed = false;
  return {
    inputs,
    outputs,
    async infer(tensors, options = {}) {
      if (isClosed) throw new IpgraftError('SERVER_BUSY', 'the model is being closed');
      const asked = options.outputs?.length ? options.outputs : outputs.map(({ name }) => name);
      const run = new EnsembleRun(producers, find, tensors, asked, options);
      const result = run.outputs();
      running.set(
        run,
        result.catch(() => {}),
      );
      try {
        const made = await result;
        return { outputs: made, times: sumOf(run.times) };
      } finally {
        running.delete(run);
      }
    },
    get load() {
      return { waiting: 0, running: running.size };
    },
    get fault() {
      return memberFault(config, find);
    },
    async close(grace = GRACE) {
      isClosed = true;
      const end = () => {
        for (const run of running.keys()) run.cancel();
      };
      const timer = setTimeout(end, grace);
      if (grace <= 0) end();
      await Promise.all(running.values());
      clearTimeout(timer);
    },
  };
}

/** Why one of the models does not answer, which stands for all: nobody knows which outputs a request will ask for. */
function memberFault({ steps }: ModelConfig, find: FindMember): IpgraftError | null {
  for (const { model, version } of steps)
    try {
      find(model, version);
    } catch (error) {
      const { message, cause } = error as IpgraftError;
      const text = `model “${printable(model)}”: ${message}`;
      return new IpgraftError('SERVER_MODEL_NOT_READY', text, {}, { cause });
    }
  return null;
}

function sumOf(times: readonly InferenceTimes[]): InferenceTimes {
  const sum = (part: 'queue' | 'computeInput' | 'computeInfer' | 'computeOutput') =>
    times.reduce((total, each) => total + each[part], 0);
  return {
    queue: sum('queue'),
    computeInput: sum('computeInput'),
    computeInfer: sum('computeInfer'),
    computeOutput: sum('computeOutput'),
  };
}
