import { availableParallelism } from 'node:os';
import { loadModel } from '../serve/workers/load-model.js';
import type { Provider } from '../session/load-runtime.js';
import type { ComponentModel } from './component-model.js';

/** How models are loaded in this process. */
export interface LoadOptions {
  /** What of ONNX Runtime runs them: the CPU unless another is named. */
  readonly provider?: Provider;
  /** Threads of one run; as many as there are processors unless told otherwise. */
  readonly threads?: number;
}

/**
 * Loads a model file in this process. Each run blocks the event loop.
 * @throws IpgraftError `RUNTIME_MISSING`, `RUNTIME_LOAD`
 */
export async function loadComponent(model: string, options: LoadOptions = {}): Promise<ComponentModel> {
  const { provider = 'cpu', threads = availableParallelism() } = options;
  const { loaded, run } = await loadModel({ model, provider, threads, maxAnswer: Number.POSITIVE_INFINITY });
  return {
    inputs: loaded.inputs,
    outputs: loaded.outputs,
    async infer(inputs, { outputs = loaded.outputs.map(({ name }) => name), signal } = {}) {
      // A turn of the event loop in between, so that signals and timers are heard.
      await new Promise(setImmediate);
      signal?.throwIfAborted();
      const { head, parts } = await run(
        { inputs, outputs },
        inputs.map(({ data }) => data),
      );
      return { outputs: head.outputs.map((output, index) => ({ ...output, data: parts[index]! })) };
    },
  };
}
