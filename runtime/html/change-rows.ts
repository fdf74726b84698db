import {
  type Aspect,
  type Change,
  KINDS,
  type Kind,
  type ModelDiff,
  SUBJECTS,
} from '../../compiler/diff/model-diff.js';
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

function rowOf({ subject, a, b, label, scope, aspects }: Change, declared: number): ChangeRow {
  const where = scope === '' ? '' : ` in ${scope}`;
  return [
    SUBJECTS.indexOf(subject),
    KINDS.indexOf(kindOf(aspects)),
    b ?? a ?? '',
    `${label}${where}`,
    aspects.map(wordsOf).filter(Boolean).join('; '),
    declared,
  ];
}

/** The kind that counts most. */
function kindOf(aspects: readonly Aspect[]): Kind {
  return KINDS.find((kind) => aspects.some((aspect) => aspect.kind === kind)) ?? 'changed';
}

function wordsOf(aspect: Aspect): string {
  switch (aspect.kind) {
    case 'added':
    case 'removed':
      return '';
    case 'changed':
      return `${aspect.what}: ${aspect.from ?? 'nothing'} → ${aspect.to ?? 'nothing'}`;
    case 'rewired':
      return `input ${aspect.input}: ${aspect.from} → ${aspect.to}`;
    case 'renamed':
      return `${aspect.what}: ${aspect.from} → ${aspect.to}`;
    case 'moved':
      return `${aspect.what}: ${aspect.from} → ${aspect.to}`;
  }
}
