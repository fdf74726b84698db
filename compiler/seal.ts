import type { Journal } from './edit/journal.js';
import { sha256 } from './io/sha256.js';
import type { Graph } from './onnx/graph.js';
import type { Initializer } from './onnx/initializer.js';
import { LARGE } from './wire/load-sparse.js';
import type { Rope } from './wire/rope.js';
import { wholeSegment } from './wire/segment-bytes.js';

/**
 * SHA-256 of what a journal's edits inserted, record by record, and of the metadata below `prefix` but for the seal itself (`key`). With a
 * base to hold the rest against, no change of a patched file goes unnoticed but in large tensor data, of which only the length is in it.
 */
export async function sealOf(graph: Graph, journal: Journal, prefix: string, key: string): Promise<string> {
  const digest = sha256();
  for (const entry of journal) {
    if (entry.kind === 'insert-node') await add(graph.producer(entry.value)?.record);
    else if (entry.kind === 'insert-input') await add(graph.inputs.get(entry.name)?.record);
    else if (entry.kind === 'insert-initializer') await addTensor(graph.initializers.get(entry.name));
  }
  const stamp = [...graph.metadata].filter(([name]) => name.startsWith(prefix) && name !== key).sort();
  digest.update(new TextEncoder().encode(JSON.stringify(stamp)));
  return digest.hex();

  async function add(record: Rope | undefined): Promise<void> {
    for (const segment of record?.segments ?? []) digest.update(await wholeSegment(segment));
  }

  async function addTensor(tensor: Initializer | undefined): Promise<void> {
    const raw = tensor?.raw ?? null;
    if (raw === null || raw.length < LARGE) return add(tensor?.record);
    const { name, dataType, dims, external } = tensor!;
    digest.update(new TextEncoder().encode(JSON.stringify([name, dataType, dims, external, raw.length])));
  }
}
