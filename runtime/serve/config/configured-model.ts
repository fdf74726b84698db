import type { ModelInterface, ServedModel } from '../backend.js';
import { fitInputs, fitOutputs } from '../fit-inputs.js';
import type { Tensor } from '../tensor.js';
import { unfit } from '../unfit.js';
import { configuredInterface } from './configured-interface.js';
import type { ModelConfig } from './model-config.js';

/**
 * A model that holds its requests to its configuration: shapes, size of the batch, time.
 * @param model its name
 * @throws IpgraftError `SERVER_CONFIG` where configuration and model contradict each other
 */
export function configuredModel(served: ServedModel, config: ModelConfig, model: string): ServedModel {
  const { inputs, outputs }: ModelInterface = configuredInterface(served, config, model);
  const { maxBatchSize, timeout } = config;
  return {
    inputs,
    outputs,
    async infer(tensors, options = {}) {
      const fitted = fitInputs(tensors, inputs);
      const asked = fitOutputs(options.outputs ?? [], outputs);
      if (maxBatchSize > 0) checkBatch(fitted, maxBatchSize);
      const limit = Math.min(
        options.timeout ?? Number.POSITIVE_INFINITY,
        timeout ?? Number.POSITIVE_INFINITY,
      );
      return served.infer(fitted, {
        ...options,
        outputs: asked,
        ...(Number.isFinite(limit) && { timeout: limit }),
      });
    },
    get load() {
      return served.load;
    },
    get fault() {
      return served.fault ?? null;
    },
    hasChanged: async () => (await served.hasChanged?.()) ?? false,
    close: (grace) => served.close(grace),
  };
}

/** @throws IpgraftError `SERVER_INPUT` for a batch that is empty, too large or not the other inputs' */
function checkBatch(tensors: readonly Tensor[], most: number): void {
  const [first] = tensors;
  for (const { name, shape } of tensors) {
    const [size = 0] = shape;
    if (size < 1 || size > most) throw unfit(name, `a batch of 1 to ${most}`, size);
    if (size !== first!.shape[0])
      throw unfit(name, `the batch of “${first!.name}”, ${first!.shape[0]}`, size);
  }
}
