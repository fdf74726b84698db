import type { Aspect, Change, ModelDiff, Proof, Subject } from '../compiler/diff/model-diff.js';
import type { JournalEntry } from '../compiler/edit/journal.js';

const EDIT: Readonly<Partial<Record<Subject, JournalEntry['kind']>>> = {
  node: 'insert-node',
  initializer: 'insert-initializer',
  metadata: 'set-metadata',
};

/** The comparison of a base and what was compiled of it, with a proof in which every change is declared, or what `proof` says instead. */
export function declaredDiff(diff: ModelDiff, proof: Partial<Proof> = {}): ModelDiff {
  const edits = diff.changes.map(editOf);
  const explained = [...new Set(edits)].map((edit) => ({
    edit,
    changes: edits.flatMap((each, i) => (each === edit && !proof.unexplained?.includes(i) ? [i] : [])),
  }));
  return {
    ...diff,
    proof: {
      holds: true,
      source: 'journal',
      edits: edits.length,
      explained,
      unexplained: [],
      faults: [],
      open: [],
      ...proof,
    },
  };
}

function editOf({ subject, aspects }: Change): JournalEntry['kind'] {
  const is = (kind: Aspect['kind']) => aspects.some((aspect) => aspect.kind === kind);
  if (subject === 'input') return is('added') ? 'insert-input' : 'set-input-dimension';
  if (is('rewired')) return 'rewire';
  return EDIT[subject]!;
}
