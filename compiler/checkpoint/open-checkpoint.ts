import { IpgraftError } from '../errors.js';
import type { ByteSource } from '../io/byte-source.js';
import { printable } from '../printable.js';
import type { Checkpoint } from './checkpoint.js';
import { DTYPE_SIZE, elementCount } from './dtype-size.js';
import { recognizeContainer } from './recognize.js';
import { openSafetensors } from './safetensors.js';

/** Loaded when it is needed: reading zip archives takes a third of all code. */
async function openTorch(source: ByteSource): Promise<Checkpoint> {
  const { openTorchCheckpoint } = await import('./torch-checkpoint.js');
  return openTorchCheckpoint(source);
}

/** The most that Node reads and protobuf stores at once. The largest tensor of a known adapter has 40 MB. */
const MAX_TENSOR_BYTES = 2 ** 31 - 1;

/**
 * Opens a checkpoint: safetensors, or a zip of `torch.save` (torch 1.6 and later). The container is told by
 * content, not by extension. Reads names and shapes only; the source must stay open as long as tensors are read.
 * Whatever the bytes are, the outcome is a checkpoint or an {@link IpgraftError}; nothing in them is executed.
 * @throws IpgraftError of the family `ADAPTER`
 */
export async function openCheckpoint(source: ByteSource): Promise<Checkpoint> {
  const container = await recognizeContainer(source);
  const checkpoint = await (container === 'safetensors' ? openSafetensors(source) : openTorch(source));
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    if (elementCount(shape)! * DTYPE_SIZE[dtype] <= MAX_TENSOR_BYTES) continue;
    throw new IpgraftError(
      'ADAPTER_TENSOR_UNSUPPORTED',
      `${source.name}: ${printable(name)} has 2 GiB or more`,
      {
        file: source.name,
        tensor: printable(name),
      },
    );
  }
  return checkpoint;
}
