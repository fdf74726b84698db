import { IpgraftError } from '../errors.js';
import type { Graph } from '../onnx/graph.js';
import type { Node, ValueName } from '../onnx/node.js';
import { shapeText } from './edit.js';
import type { Journal } from './journal.js';

/**
 * The graph before the edits of `journal`: undoes them from the last to the first. With the bytes of untouched records
 * kept, writing the result gives the base file again.
 * @throws IpgraftError `EDIT_PRECONDITION` when the graph is not what the journal left behind
 */
export function revert(graph: Graph, journal: Journal): Graph {
  const byOutput = new Map<ValueName, Node>();
  for (const node of graph.nodes)
    for (const output of node.outputs) if (output !== '') byOutput.set(output, node);
  const current = new Map<Node, Node>();
  const removed = new Set<Node>();
  const initializers = new Map(graph.initializers);
  const inputs = new Map(graph.inputs);
  const metadata = new Map(graph.metadata);
  for (const entry of journal.toReversed()) {
    switch (entry.kind) {
      case 'insert-node':
        removed.add(found(byOutput.get(entry.value), entry.value));
        break;
      case 'rewire': {
        const node = found(byOutput.get(entry.node), entry.node);
        const now = current.get(node) ?? node;
        found(
          now.inputs[entry.input] === entry.to || undefined,
          `${entry.to} as input ${entry.input} of ${now.label}`,
        );
        current.set(node, now.withInput(entry.input, entry.from));
        break;
      }
      case 'insert-initializer':
        found(initializers.delete(entry.name) || undefined, entry.name);
        break;
      case 'insert-input':
        found(inputs.delete(entry.name) || undefined, entry.name);
        break;
      case 'set-input-dimension': {
        const input = found(inputs.get(entry.input), entry.input);
        const size = input.shape?.[entry.axis] ?? null;
        found(size === entry.to || undefined, `${entry.to} as axis ${entry.axis} of ${entry.input}`);
        inputs.set(entry.input, input.withDimension(entry.axis, entry.from));
        break;
      }
      case 'set-input-shape': {
        const input = found(inputs.get(entry.input), entry.input);
        const to = shapeText(entry.to);
        found(shapeText(input.shape) === to || undefined, `${to} as the shape of ${entry.input}`);
        inputs.set(entry.input, input.withShape(entry.from));
        break;
      }
      case 'set-metadata':
        found(
          (metadata.get(entry.key) ?? null) === entry.to || undefined,
          `${entry.to} as metadata ${entry.key}`,
        );
        if (entry.from === null) metadata.delete(entry.key);
        else metadata.set(entry.key, entry.from);
        break;
    }
  }
  const nodes = graph.nodes.filter((node) => !removed.has(node)).map((node) => current.get(node) ?? node);
  return graph.with({ nodes, initializers, inputs, metadata });
}

function found<T>(item: T | undefined, what: string): T {
  if (item !== undefined) return item;
  throw new IpgraftError('EDIT_PRECONDITION', `the journal names ${what}, the graph does not have it`, {
    sought: what,
  });
}
