import type { ByteSource } from '../io/byte-source.js';
import type { Checkpoint } from './checkpoint.js';
import { recognizeContainer } from './recognize.js';
import { openSafetensors } from './safetensors.js';
import { openTorchCheckpoint } from './torch-checkpoint.js';

/**
 * Opens a checkpoint: safetensors, or a zip of `torch.save` (torch 1.6 and later). The container is told by
 * content, not by extension. Reads names and shapes only; the source must stay open as long as tensors are read.
 * Whatever the bytes are, the outcome is a checkpoint or an {@link IpgraftError}; nothing in them is executed.
 * @throws IpgraftError of the family `ADAPTER`
 */
export async function openCheckpoint(source: ByteSource): Promise<Checkpoint> {
  const container = await recognizeContainer(source);
  return container === 'safetensors' ? openSafetensors(source) : openTorchCheckpoint(source);
}
