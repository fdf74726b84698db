import type { Aspect, Change, Counts, ModelDiff, Side, Subject } from '../compiler/diff/model-diff.js';
import { KINDS, SUBJECTS } from '../compiler/diff/model-diff.js';
import { editsBetween } from '../compiler/edit/edits-between.js';
import type { JournalEntry } from '../compiler/edit/journal.js';
import { dataTypeName } from '../compiler/onnx/data-type.js';
import type { Graph } from '../compiler/onnx/graph.js';

/** A comparison written down from the edits between two graphs, each edit one change: enough to fill a report. */
export function draftedDiff(before: Graph, after: Graph, changes: Partial<ModelDiff> = {}): ModelDiff {
  const { entries } = editsBetween(before, after);
  const found = entries.map((entry) => changeOf(entry, after));
  const kinds = [...new Set(entries.map(({ kind }) => kind))];
  return {
    a: sideOf('model.onnx', before),
    b: sideOf('patched.onnx', after),
    counts: Object.fromEntries(SUBJECTS.map((subject) => [subject, countsOf(found, subject)])) as Record<
      Subject,
      Counts
    >,
    changes: found,
    proof: {
      holds: true,
      source: 'journal',
      edits: entries.length,
      explained: kinds.map((edit) => ({
        edit,
        changes: entries.flatMap(({ kind }, i) => (kind === edit ? [i] : [])),
      })),
      unexplained: [],
      faults: [],
      open: [],
    },
    ...changes,
  };
}

function sideOf(file: string, graph: Graph): Side {
  return {
    file,
    bytes: 1_234_567,
    irVersion: graph.irVersion,
    opset: graph.opset,
    nodes: graph.nodes.length,
  };
}

function countsOf(changes: readonly Change[], subject: Subject): Counts {
  const count = (kind: Aspect['kind']) =>
    changes.filter((change) => change.subject === subject && change.aspects[0]!.kind === kind).length;
  return { unchanged: 0, ...Object.fromEntries(KINDS.map((kind) => [kind, count(kind)])) } as Counts;
}

function changeOf(entry: JournalEntry, after: Graph): Change {
  const make = (subject: Subject, a: string | null, b: string, label: string, aspect: Aspect): Change => ({
    subject,
    a,
    b,
    label,
    scope: '',
    aspects: [aspect],
  });
  switch (entry.kind) {
    case 'insert-node':
      return make('node', null, entry.value, after.producer(entry.value)!.label, { kind: 'added' });
    case 'rewire': {
      const { node, input, from, to } = entry;
      return make('node', node, node, after.producer(node)!.label, { kind: 'rewired', input, from, to });
    }
    case 'insert-initializer': {
      const { dims, dataType } = after.initializers.get(entry.name)!;
      return make('initializer', null, entry.name, `${dataTypeName(dataType)}[${dims.join(', ')}]`, {
        kind: 'added',
      });
    }
    case 'insert-input':
      return make('input', null, entry.name, '', { kind: 'added' });
    case 'set-input-dimension': {
      const [from, to] = [`${entry.from}`, `${entry.to}`];
      return make('input', entry.input, entry.input, '', {
        kind: 'changed',
        what: `dimension ${entry.axis}`,
        from,
        to,
      });
    }
    case 'set-metadata':
      return make('metadata', null, entry.key, '', { kind: 'added' });
  }
}
