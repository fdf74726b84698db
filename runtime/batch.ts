import { fingerprint } from '../compiler/fingerprint.js';
import type { WriteOptions } from '../compiler/io/write-files.js';
import { writeFiles } from '../compiler/io/write-files.js';
import type { Graph } from '../compiler/onnx/graph.js';
import { type PassResult, runPasses } from '../compiler/run-passes.js';
import { batchPasses } from '../passes/index.js';
import { ADAPTERS_KEY, BASE_KEY } from '../passes/stamp-metadata.js';
import type { OpenedModel } from './open.js';
import { VERSION } from './version.js';
import { planOutput, type WrittenModel } from './write-patched.js';

/** A model of which every input has a batch, not written yet. */
export interface BatchedModel {
  readonly opened: OpenedModel;
  readonly graph: Graph;
  readonly passes: readonly PassResult[];
  /** Whether anything had to be changed: what was exported with a batch everywhere stays as it is. */
  readonly isChanged: boolean;
}

/**
 * Gives every input of a model, a base or a patched one, a batch in front: a `timestep` [] becomes [B], `ip_scale` [adapters] becomes
 * [B, adapters]. Each row then has its own timestep and scale, so that a server can put the rows of several requests into one run.
 * Undoing the edits (`strip`) gives the base, byte for byte. A model that is batched already stays as it is.
 * @throws IpgraftError `MODEL_NOT_BATCHED` when an input or an output has no batch and cannot be given one, `MODEL_SUBGRAPH_READS_TEXT`
 */
export function batchModel(opened: OpenedModel): BatchedModel {
  const stamp = {
    'ipgraft.version': VERSION,
    [BASE_KEY]: fingerprint(opened.file),
    [ADAPTERS_KEY]: '[]',
  };
  const { graph, passes } = runPasses(opened, batchPasses(stamp));
  return { opened, graph, passes, isChanged: passes.some(({ edits }) => edits.length > 0) };
}

/**
 * Writes {@link batchModel}'s result, with the data files that it names where it lies elsewhere than the model it was made of.
 * @throws IpgraftError `OUTPUT_*`
 */
export async function writeBatched(
  batched: BatchedModel,
  path: string,
  options: WriteOptions = {},
): Promise<WrittenModel> {
  const plan = await planOutput(batched, path, 'copy');
  await writeFiles(plan.files, { ...options, inputs: [...batched.opened.files, ...(options.inputs ?? [])] });
  return plan.written;
}
