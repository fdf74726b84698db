import type { Graph } from '../onnx/graph.js';
import type { Node, ValueName } from '../onnx/node.js';
import type { ValueInfo } from '../onnx/value-info.js';
import { sameBytes } from '../wire/rope.js';
import type { JournalEntry } from './journal.js';

/** How two graphs differ. */
export interface Difference {
  /** What edits can say, as a journal says it; in no particular order. */
  readonly entries: readonly JournalEntry[];
  /** What no edit can say, in words: something removed, moved, or changed in its bytes. */
  readonly unexplained: readonly string[];
}

/**
 * Compares two graphs of one family: nodes by the values that they make, everything else by name, and all of it by bytes.
 * Linear in both. Tensor data that lies in one file at one place is equal without being read.
 */
export function editsBetween(before: Graph, after: Graph): Difference {
  const entries: JournalEntry[] = [];
  const unexplained: string[] = [];
  diffNodes(before, after, entries, unexplained);
  diffNamed(before.initializers, after.initializers, 'initializer', unexplained, (name) =>
    entries.push({ kind: 'insert-initializer', name }),
  );
  diffNamed(
    before.inputs,
    after.inputs,
    'input',
    unexplained,
    (name) => entries.push({ kind: 'insert-input', name }),
    (from, to) =>
      entries.push(...resized(from, to)) > 0 && sameBytes(undoResize(from, to).record, from.record),
  );
  diffNamed(before.outputs, after.outputs, 'output', unexplained, (name) =>
    unexplained.push(`output ${name} is new`),
  );
  for (const key of new Set([...before.metadata.keys(), ...after.metadata.keys()])) {
    const [from, to] = [before.metadata.get(key) ?? null, after.metadata.get(key) ?? null];
    if (from !== to) entries.push({ kind: 'set-metadata', key, from, to });
  }
  return { entries, unexplained };
}

function diffNodes(before: Graph, after: Graph, entries: JournalEntry[], unexplained: string[]): void {
  const kept: Node[] = [];
  for (const node of after.nodes) {
    const old = before.producer(node.id);
    if (old === undefined) {
      entries.push({ kind: 'insert-node', value: node.id });
      continue;
    }
    kept.push(old);
    if (sameBytes(old.record, node.record)) continue;
    let undone = node;
    old.inputs.forEach((from, input) => {
      const to = node.inputs[input];
      if (to === undefined || to === from) return;
      entries.push({ kind: 'rewire', node: node.id, input, from, to });
      undone = undone.withInput(input, from);
    });
    if (!sameBytes(undone.record, old.record)) unexplained.push(`${node.label} changed beyond its inputs`);
  }
  const present = new Set(kept);
  const missing = before.nodes.filter((node) => !present.has(node));
  for (const node of missing) unexplained.push(`${node.label} is gone`);
  const inOrder = kept.every((node, i) => i === 0 || before.position(kept[i - 1]!) < before.position(node));
  if (!inOrder) unexplained.push('nodes stand in another order');
}

function diffNamed<T extends { readonly record: ValueInfo['record'] }>(
  before: ReadonlyMap<ValueName, T>,
  after: ReadonlyMap<ValueName, T>,
  what: string,
  unexplained: string[],
  onNew: (name: ValueName) => void,
  explain: (from: T, to: T) => boolean = () => false,
): void {
  for (const [name, item] of after) {
    const old = before.get(name);
    if (old === undefined) onNew(name);
    else if (!sameBytes(old.record, item.record) && !explain(old, item))
      unexplained.push(`${what} ${name} changed`);
  }
  for (const name of before.keys()) if (!after.has(name)) unexplained.push(`${what} ${name} is gone`);
}

function resized(from: ValueInfo, to: ValueInfo): JournalEntry[] {
  if (hasOtherRank(from, to))
    return [{ kind: 'set-input-shape', input: from.name, from: [...from.shape!], to: [...to.shape!] }];
  return (from.shape ?? []).flatMap((dimension, axis) => {
    const now = to.shape?.[axis] ?? null;
    return now === dimension
      ? []
      : [{ kind: 'set-input-dimension', input: from.name, axis, from: dimension, to: now }];
  });
}

function undoResize(from: ValueInfo, to: ValueInfo): ValueInfo {
  if (hasOtherRank(from, to)) return to.withShape(from.shape!);
  return (from.shape ?? []).reduce<ValueInfo>(
    (value, dimension, axis) => value.withDimension(axis, dimension),
    to,
  );
}

function hasOtherRank(from: ValueInfo, to: ValueInfo): boolean {
  return from.shape !== null && to.shape !== null && from.shape.length !== to.shape.length;
}
