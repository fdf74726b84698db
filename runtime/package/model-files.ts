import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { OutputFile } from '../../compiler/io/write-files.js';
import type { BatchedModel } from '../batch.js';
import type { OpenedModel } from '../open.js';
import { planOutput } from '../write-patched.js';

/** What a server opens when nothing else is said. */
const USUAL_NAME = 'model.onnx';

/** The files of one model in a folder of its own. */
export interface ModelFolderFiles {
  /** The model's own, without folder. */
  readonly filename: string;
  /** Its data files under the names that it gives them, and itself. */
  readonly files: readonly OutputFile[];
}

/**
 * What makes a model complete in `folder`: the model under the name that servers seek, and beside it every data file that it names, also the base
 * of a patched model that names the base's weights. Such a base may be called `model.onnx` itself; then the model takes another name.
 */
export async function modelFiles(
  {
    opened,
    graph,
    isChanged,
  }: Pick<BatchedModel, 'opened' | 'graph' | 'isChanged'> & {
    readonly opened: OpenedModel & { readonly path: string };
  },
  folder: string,
): Promise<ModelFolderFiles> {
  const { dataFiles, path } = opened;
  let filename = USUAL_NAME;
  for (let n = 2; dataFiles.includes(filename); n++) filename = `model_${n}.onnx`;
  if (isChanged) {
    const { files } = await planOutput({ opened, graph }, join(folder, filename), 'copy');
    return { filename, files };
  }
  const copy = async (from: string, name: string): Promise<OutputFile> => ({
    path: join(folder, name),
    content: { copyOf: from, size: (await stat(from)).size },
  });
  const data = dataFiles.map((location) => copy(join(dirname(path), location), location));
  return { filename, files: [...(await Promise.all(data)), await copy(path, filename)] };
}
