import { randomBytes } from 'node:crypto';
import { IpgraftError } from '../../../compiler/errors.js';
import type { ServedModel } from '../backend.js';
import { DATATYPE_SIZE, type Tensor } from '../tensor.js';
import { configFault } from './config-fault.js';
import type { ModelConfig, WarmupInput, WarmupSample } from './model-config.js';
import { isRowScalar, withoutTail } from './row-scalar.js';

/** Bytes of one input: more is a slip. */
const LARGEST = 2 ** 30;

/**
 * Runs what model_warmup lists, each sample in as many requests at once as there are workers, so that each has its turn.
 * @param model its name
 * @throws IpgraftError `SERVER_CONFIG` for inputs that are too large or do not fit the model, and as `infer` does
 */
export async function warmUp(
  served: ServedModel,
  { warmup, maxBatchSize, inputs: configured }: ModelConfig,
  workers: number,
  model: string,
): Promise<void> {
  for (const sample of warmup) {
    const inputs = sample.inputs.map((input) => {
      const tensor = tensorOf(input, sample, maxBatchSize > 0, model);
      return isRowScalar(input.name, configured) ? withoutTail(tensor) : tensor;
    });
    for (let round = 0; round < sample.count; round++)
      await Promise.all(Array.from({ length: workers }, () => served.infer(inputs))).catch((error) => {
        if (!(error instanceof IpgraftError && error.code === 'SERVER_INPUT')) throw error;
        throw configFault(model, `model_warmup “${sample.name}”: ${error.message}`, error);
      });
  }
}

function tensorOf(
  { name, datatype, dims, data }: WarmupInput,
  sample: WarmupSample,
  isBatched: boolean,
  model: string,
): Tensor {
  const shape = isBatched ? [sample.batchSize, ...dims] : dims;
  // Of BYTES the length of an empty string.
  const size = shape.reduce((product, each) => product * each, DATATYPE_SIZE[datatype] ?? 4);
  if (size > LARGEST)
    throw configFault(
      model,
      `model_warmup “${sample.name}”: input “${name}”: sought ${LARGEST} bytes at most, found ${size}`,
    );
  const bytes = data === 'zero' || datatype === 'BYTES' ? new Uint8Array(size) : randomBytes(size);
  if (datatype === 'BOOL') for (let i = 0; i < size; i++) bytes[i]! &= 1;
  return { name, datatype, shape, data: bytes };
}
