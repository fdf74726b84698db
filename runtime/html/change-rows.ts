import { kindOf } from '../../compiler/diff/compare-models.js';
import { type Aspect, type Change, KINDS, type ModelDiff, SUBJECTS } from '../../compiler/diff/model-diff.js';
import type { ChangeRow, ChangesData } from './report-data.js';

/** The changes of a comparison as rows of text. */
export function changesData({ changes, proof }: ModelDiff): ChangesData {
  const edits = proof === null ? null : proof.explained.map(({ edit }) => edit);
  const declared = new Map(
    proof?.explained.flatMap(({ changes: explained }, edit) =>
      explained.map((change) => [change, edit] as const),
    ),
  );
  // An edit may explain a part of a change alone: what is left over is not declared.
  for (const change of proof?.unexplained ?? []) declared.delete(change);
  return {
    subjects: SUBJECTS,
    kinds: KINDS,
    edits,
    rows: changes.map((change, i) => rowOf(change, declared.get(i) ?? -1)),
  };
}

function rowOf(change: Change, declared: number): ChangeRow {
  const { subject, a, b, label, scope, aspects } = change;
  const name = b ?? a ?? '';
  const where = scope === '' ? [] : [`in ${scope}`];
  return [
    SUBJECTS.indexOf(subject),
    KINDS.indexOf(kindOf(change)),
    name,
    [...(label === name ? [] : [label]), ...where].join(' '),
    aspects.map(wordsOf).filter(Boolean).join('; '),
    declared,
  ];
}

function wordsOf(aspect: Aspect): string {
  switch (aspect.kind) {
    case 'added':
    case 'removed':
      return '';
    case 'changed':
      // Bytes that say nothing in words.
      if (aspect.from === null && aspect.to === null) return aspect.what;
      return `${aspect.what}: ${aspect.from ?? 'nothing'} → ${aspect.to ?? 'nothing'}`;
    case 'rewired':
      return `input ${aspect.input}: ${aspect.from} → ${aspect.to}`;
    case 'renamed':
      return `${aspect.what}: ${aspect.from} → ${aspect.to}`;
    case 'moved':
      return `${aspect.what}: ${aspect.from} → ${aspect.to}`;
  }
}
