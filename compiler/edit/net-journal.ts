import type { Graph } from '../onnx/graph.js';
import type { Journal, JournalEntry } from './journal.js';

/** What is left of a journal when both ends alone are compared: changes of one thing become one, those of new nodes part of them. */
export function netJournal(base: Graph, journal: Journal): JournalEntry[] {
  const net = new Map<string, JournalEntry>();
  for (const entry of journal) {
    if (entry.kind === 'rewire' && base.producer(entry.node) === undefined) continue;
    if (isOfInput(entry) && !base.inputs.has(entry.input)) continue;
    const { key, last } = changeOf(entry, net);
    if ('from' in last && JSON.stringify(last.from) === JSON.stringify(last.to)) net.delete(key);
    else net.set(key, last);
  }
  return [...net.values()];
}

/** Whether an entry says how an input is sized. */
function isOfInput(
  entry: JournalEntry,
): entry is Extract<JournalEntry, { kind: 'set-input-dimension' | 'set-input-shape' }> {
  return entry.kind === 'set-input-dimension' || entry.kind === 'set-input-shape';
}

function changeOf(
  entry: JournalEntry,
  net: ReadonlyMap<string, JournalEntry>,
): { key: string; last: JournalEntry } {
  if (!('from' in entry)) return { key: JSON.stringify(entry), last: entry };
  const key = JSON.stringify({ ...entry, from: undefined, to: undefined });
  const before = net.get(key);
  return {
    key,
    last:
      before !== undefined && 'from' in before ? ({ ...entry, from: before.from } as JournalEntry) : entry,
  };
}
