import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { createOutput } from '../../compiler/onnx/create.js';
import type { ValueName } from '../../compiler/onnx/node.js';
import { placeWeights } from '../../compiler/onnx/place-weights.js';
import { writeModel } from '../../compiler/onnx/write-model.js';
import { bytesOf } from '../../compiler/wire/segment-bytes.js';
import type { OpenedModel } from '../open.js';
import type { ModelBytes } from '../session/load-runtime.js';

/**
 * A copy of a model, in memory, that gives `values` beside its outputs. Its large weights stay in the file, which the copy names, so that it
 * is as small as the graph; nothing is written.
 */
export async function exposedCopy(
  opened: OpenedModel & { readonly path: string },
  values: Iterable<ValueName>,
): Promise<ModelBytes> {
  const { graph } = opened;
  const outputs = new Map(graph.outputs);
  for (const value of values) if (!outputs.has(value)) outputs.set(value, createOutput(value));
  const path = await realpath(opened.path);
  // Data beside a link lies in the link's folder, its own weights elsewhere: runtimes look into one folder only.
  const isLink = path !== opened.path;
  const placed = placeWeights(graph.with({ outputs }), {
    sidecar: null,
    base: isLink ? 'carry' : { reference: basename(path) },
  });
  const rope = writeModel(opened, placed.graph);
  const bytes = new Uint8Array(rope.length);
  let filled = 0;
  for (const segment of rope.segments)
    for await (const chunk of bytesOf(segment)) {
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
  return { bytes, folder: dirname(opened.path) };
}
