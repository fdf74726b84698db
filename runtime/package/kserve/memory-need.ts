import { stat } from 'node:fs/promises';
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
/** Weights that a session holds beside the file's own bytes, and what a run needs on top: measured, docs/serving.md. */
const PER_BYTE = 1.5;
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
  for (const found of await listModels(repository)) {
    if ('fault' in found) throw found.fault;
    const { name, path, config } = found.files;
    if (config.isEnsemble) continue;
    models.push({ name, bytes: await modelBytes(path), copies: config.workers ?? copies });
  }
  const each = models.map(
    ({ bytes, copies }) => copies * (PER_COPY + Math.ceil((bytes * PER_BYTE) / MEBIBYTE)),
  );
  return { models, mebibytes: each.reduce((sum, size) => sum + size, SERVER) };
}

async function modelBytes(path: string): Promise<number> {
  const model = await openModel(path);
  try {
    const sizes = await Promise.all(model.files.map(async (file) => (await stat(file.path)).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  } finally {
    await model.close();
  }
}
