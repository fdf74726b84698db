import { type WriteOptions, writeFiles } from '../compiler/io/write-files.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { OpenedModel } from './open.js';
import type { SwappedModel } from './swap.js';
import { checkpointsOf, planOutput, type WrittenModel } from './write-patched.js';

/**
 * Writes a model with swapped adapters. Beside the patched model the base's weights stay where they are named; elsewhere the
 * data files that are still needed are copied.
 * @throws IpgraftError `OUTPUT_*`
 */
export async function writeSwapped(
  { opened, graph, adapters }: SwappedModel,
  path: string,
  options: WriteOptions = {},
): Promise<WrittenModel> {
  const needed = { ...opened, dataFiles: stillNeeded(opened, graph) };
  const plan = await planOutput({ opened: needed, graph }, path, 'copy');
  const inputs = [...opened.files, ...checkpointsOf(adapters), ...(options.inputs ?? [])];
  await writeFiles(plan.files, { ...options, inputs });
  return plan.written;
}

/** The data files without those that held nothing but the old adapters. */
function stillNeeded({ graph, dataFiles }: OpenedModel, swapped: Graph): string[] {
  const locations = (of: Graph) =>
    new Set([...of.initializers.values()].flatMap(({ external }) => external?.location ?? []));
  const [before, after] = [locations(graph), locations(swapped)];
  return dataFiles.filter((location) => after.has(location) || !before.has(location));
}
