import { IpgraftError } from '../errors.js';
import type { ByteSource } from '../io/byte-source.js';
import { printable } from '../printable.js';
import type { Checkpoint, CheckpointTensor } from './checkpoint.js';
import { DTYPE_SIZE, elementCount } from './dtype-size.js';
import { flattenTensors } from './flatten.js';
import { readPickle } from './pickle.js';
import type { PickledTensor } from './pickle-value.js';
import { gather, isContiguous, reach } from './strided.js';
import { torchNames } from './torch-names.js';
import { expansionLimit, openTorchZip, type TorchZip } from './torch-zip.js';

/**
 * Opens what `torch.save` wrote (torch 1.6 and later) without executing anything of it: the pickle may name
 * dictionaries, tensors and storages only. Tensors may be views of any strides and share storages; reading one
 * gives it in row-major order.
 * @throws IpgraftError of the family `ADAPTER`
 */
export async function openTorchCheckpoint(source: ByteSource): Promise<Checkpoint> {
  const zip = await openTorchZip(source);
  const root = readPickle(zip.pickle, torchNames(source.name), source.name);
  const tensors = new Map<string, CheckpointTensor>();
  let total = 0;
  for (const [name, pickled] of flattenTensors(root, source.name)) {
    checkStorage(zip, name, pickled, source.name);
    total += elementCount(pickled.shape)! * DTYPE_SIZE[pickled.dtype];
    if (total > expansionLimit(source)) {
      // Strides of 0 and tensors that share a storage make much out of little.
      throw new IpgraftError(
        'ADAPTER_TENSOR_RANGE',
        `${source.name}: up to ${printable(name)}, the tensors have ${total} bytes, the file only ${source.size}`,
        { file: source.name, tensor: printable(name), bytes: total, size: source.size },
      );
    }
    const { dtype, shape } = pickled;
    tensors.set(name, { name, dtype, shape, read: () => readTensor(zip, pickled) });
  }
  return { format: 'torch', tensors };
}

function checkStorage(zip: TorchZip, name: string, { storage }: PickledTensor, file: string): void {
  const size = zip.storageSize(storage.key);
  if (size !== undefined && size >= storage.byteLength) return;
  throw new IpgraftError(
    'ADAPTER_TENSOR_RANGE',
    `${file}: ${printable(name)} lies in a storage of ${storage.byteLength} bytes, the archive has ${size ?? 'none'}`,
    { file, tensor: printable(name), sought: storage.byteLength, found: size ?? null },
  );
}

async function readTensor(zip: TorchZip, tensor: PickledTensor): Promise<Uint8Array> {
  const size = DTYPE_SIZE[tensor.dtype];
  const range = reach(tensor);
  if (range === undefined) return new Uint8Array();
  const [first, last] = range;
  const window = await zip.readStorage(tensor.storage.key, first * size, (last - first + 1) * size);
  return isContiguous(tensor) ? window : gather(window, tensor, size);
}
