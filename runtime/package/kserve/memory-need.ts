import { stat } from 'node:fs/promises';
import { DATA_TYPE } from '../../../compiler/onnx/data-type.js';
import { openModel } from '../../open.js';
import { listModels } from '../../serve/repository/model-files.js';

/** What the models of a repository take, once they are loaded. */
export interface MemoryNeed {
  /** Of each model: its files, and how many processes (`serve`) or instances (Triton) hold them. */
  readonly models: readonly { readonly name: string; readonly bytes: number; readonly copies: number }[];
  /** Memory for a replica, in whole MiB. */
  readonly mebibytes: number;
}

const MEBIBYTE = 1024 * 1024;
/** The most that a process held of a UNet, over its file's size, one step of 64 × 64 included: measured, docs/serving.md. */
const PER_BYTE = 1.5;
/** The same of 16-bit weights: on a CPU ONNX Runtime holds them as 32-bit ones, and both while it loads. */
const PER_HALF_BYTE = 3.7;
/** A process and ONNX Runtime in it, in MiB. */
const PER_COPY = 160;
/** The server itself, with the answers that it keeps and requests on their way. */
const SERVER = 768;

/**
 * Memory for a model repository DIR/MODEL/VERSION/model.onnx, by the sizes of its files, external data included. `copies` is how often a model is
 * held where its `config.pbtxt` does not say it. Ensembles hold nothing of their own.
 * @throws IpgraftError `SERVER_REPOSITORY`, `SERVER_CONFIG`, `MODEL_*`, `WIRE_*`
 */
export async function memoryNeed(repository: string, copies: number): Promise<MemoryNeed> {
  const models = [];
  let mebibytes = SERVER;
  for (const found of await listModels(repository)) {
    if ('fault' in found) throw found.fault;
    const { name, path, config } = found.files;
    if (config.isEnsemble) continue;
    const { bytes, halves } = await modelBytes(path);
    const model = { name, bytes, copies: config.workers ?? copies };
    const weights = (bytes - halves) * PER_BYTE + halves * PER_HALF_BYTE;
    mebibytes += model.copies * (PER_COPY + Math.ceil(weights / MEBIBYTE));
    models.push(model);
  }
  return { models, mebibytes };
}

/** The size of a model's files, and of its 16-bit weights among them. */
async function modelBytes(path: string): Promise<{ bytes: number; halves: number }> {
  const model = await openModel(path);
  try {
    const sizes = await Promise.all(model.files.map(async (file) => (await stat(file.path)).size));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    const halves = [...model.graph.initializers.values()]
      .filter(({ dataType }) => dataType === DATA_TYPE.float16 || dataType === DATA_TYPE.bfloat16)
      .reduce((sum, { dims }) => sum + 2 * dims.reduce((product, size) => product * size, 1), 0);
    // Several initializers may name the same bytes.
    return { bytes, halves: Math.min(bytes, halves) };
  } finally {
    await model.close();
  }
}
