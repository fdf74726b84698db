import type { Journal } from '../edit/journal.js';
import { externalSegment } from '../onnx/external-data.js';
import type { Graph } from '../onnx/graph.js';
import type { Initializer } from '../onnx/initializer.js';
import { Rope, sameBytes } from '../wire/rope.js';
import { firstDifference, type OnCompared } from './compare-data.js';
import type { ComparedModel } from './compare-models.js';

/**
 * Holds what a model's edits inserted against what they should have: nodes and inputs by their bytes, tensors by what they are and every
 * byte of their data. Answers with faults, in words.
 */
export async function compareInserted(
  expected: Graph,
  { graph, folder }: ComparedModel,
  journal: Journal,
  onCompared?: OnCompared,
): Promise<string[]> {
  const faults: string[] = [];
  for (const entry of journal) {
    if (entry.kind === 'insert-node') {
      const [sought, found] = [expected.producer(entry.value), graph.producer(entry.value)];
      if (!sought || !found || !sameBytes(sought.record, found.record))
        faults.push(`the node that makes ${entry.value} is another one`);
    } else if (entry.kind === 'insert-input') {
      const [sought, found] = [expected.inputs.get(entry.name), graph.inputs.get(entry.name)];
      if (!sought || !found || !sameBytes(sought.record, found.record))
        faults.push(`the input ${entry.name} is another one`);
    } else if (entry.kind === 'insert-initializer') {
      const [sought, found] = [expected.initializers.get(entry.name), graph.initializers.get(entry.name)];
      const fault = sought && found ? await compare(sought, found) : 'is not there';
      if (fault !== null) faults.push(`${entry.name} ${fault}`);
    }
  }
  return faults;

  async function compare(sought: Initializer, found: Initializer): Promise<string | null> {
    if (sought.dataType !== found.dataType || `${sought.dims}` !== `${found.dims}`)
      return 'has another type or shape';
    const { external } = found;
    const data = external === null ? found.raw : new Rope([await externalSegment(folder, external)]);
    if (sought.raw === null || data === null) return 'has no data';
    const at = await firstDifference(sought.raw, data, onCompared);
    return at === null ? null : `has other data from byte ${at} on`;
  }
}
