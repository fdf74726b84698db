import type { ModelInterface, ServedModel } from '../backend.js';
import { fitInputs, fitOutputs } from '../fit-inputs.js';
import type { Tensor, TensorMetadata } from '../tensor.js';
import { unfit } from '../unfit.js';
import { configuredInterface } from './configured-interface.js';
import type { ConfigTensor, ModelConfig } from './model-config.js';
import { isRowScalar, withoutTail, withTail } from './row-scalar.js';

/**
 * A model that holds its requests to its configuration: shapes, size of the batch, time.
 * @param model its name
 * @throws IpgraftError `SERVER_CONFIG` where configuration and model contradict each other
 */
export function configuredModel(served: ServedModel, config: ModelConfig, model: string): ServedModel {
  const ofModel: ModelInterface = configuredInterface(served, config, model);
  const inputs = ofModel.inputs.map((input) => asRequested(input, config.inputs));
  const outputs = ofModel.outputs.map((output) => asRequested(output, config.outputs));
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
      const inference = await served.infer(
        fitted.map((tensor) => (isRowScalar(tensor.name, config.inputs) ? withoutTail(tensor) : tensor)),
        { ...options, outputs: asked, ...(Number.isFinite(limit) && { timeout: limit }) },
      );
      if (!config.outputs.some((each) => each.isRowScalar)) return inference;
      const answered = inference.outputs.map((tensor) =>
        isRowScalar(tensor.name, config.outputs) ? withTail(tensor) : tensor,
      );
      return { ...inference, outputs: answered };
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

/** A tensor as requests have it: what the model has as [B] they have as [B, 1], where the configuration reshapes it. */
function asRequested<T extends TensorMetadata>(tensor: T, written: readonly ConfigTensor[]): T {
  return isRowScalar(tensor.name, written) ? withTail(tensor) : tensor;
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
