import { IpgraftError } from '../../../compiler/errors.js';
import type { Inference, ServedModel } from '../backend.js';
import { requestDigest } from './request-digest.js';
import type { ResponseCache } from './response-cache.js';
import { SharedRun } from './shared-run.js';

/** A run, and whether somebody has counted it already. */
interface Flight {
  readonly run: SharedRun<Inference>;
  isCounted: boolean;
}

/**
 * A model whose answers are kept by content. Those who ask for the same at once share one run, which ends before its time only when none of
 * them waits any more. Errors are not kept. What is kept goes when the model is closed.
 */
export function cachedModel(model: ServedModel, cache: ResponseCache): ServedModel {
  const shelf = cache.shelf();
  const flights = new Map<string, Flight>();
  const start = (key: string, ...[inputs, options]: Parameters<ServedModel['infer']>): Flight => {
    const forget = () => {
      if (flights.get(key) === flight) flights.delete(key);
    };
    const work = async (signal: AbortSignal): Promise<Inference> => {
      try {
        const { outputs, times } = await model.infer(inputs, {
          ...(options?.outputs && { outputs: options.outputs }),
          signal,
        });
        const began = process.hrtime.bigint();
        shelf.set(key, outputs);
        return { outputs, times: { ...times, cache: { hit: false, ns: since(began) } } };
      } finally {
        forget();
      }
    };
    const flight: Flight = { run: new SharedRun(work, forget), isCounted: false };
    flights.set(key, flight);
    return flight;
  };
  return {
    inputs: model.inputs,
    outputs: model.outputs,
    async infer(inputs, options = {}) {
      const began = process.hrtime.bigint();
      const key = await requestDigest(inputs, options.outputs ?? []);
      if (options.signal?.aborted) throw new IpgraftError('SERVER_CANCELLED', 'given up before it began');
      const kept = shelf.get(key);
      const ns = since(began);
      if (kept !== undefined) return { outputs: kept, times: hit(0, ns) };
      const flight = flights.get(key) ?? start(key, inputs, options);
      const { outputs, times } = await flight.run.wait(options);
      if (flight.isCounted) return { outputs, times: hit(since(began) - ns, ns) };
      flight.isCounted = true;
      return { outputs, times: { ...times, cache: { hit: false, ns: ns + times.cache!.ns } } };
    },
    get load() {
      return model.load;
    },
    get fault() {
      return model.fault ?? null;
    },
    hasChanged: async () => (await model.hasChanged?.()) ?? false,
    close(grace) {
      shelf.drop();
      return model.close(grace);
    },
  };
}

function hit(queue: number, ns: number): Inference['times'] {
  return { queue, computeInput: 0, computeInfer: 0, computeOutput: 0, cache: { hit: true, ns } };
}

function since(began: bigint): number {
  return Number(process.hrtime.bigint() - began);
}
