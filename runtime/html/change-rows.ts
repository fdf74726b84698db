import { kindOf } from '../../compiler/diff/compare-models.js';
import { describeAspect } from '../../compiler/diff/describe-aspect.js';
import { type Change, KINDS, type ModelDiff, SUBJECTS } from '../../compiler/diff/model-diff.js';
import type { ChangeRow, ChangesData } from './report-data.js';

/** What a model says of its own compilation, which no edit declares and every compilation brings. */
const STAMP = 'the stamp';

/** The changes of a comparison as rows of text. */
export function changesData({ changes, proof }: ModelDiff): ChangesData {
  const edits = proof === null ? null : [...proof.explained.map(({ edit }) => edit), STAMP];
  const declared = new Map<number, number>();
  proof?.explained.forEach(({ changes: explained }, edit) => {
    for (const change of explained) declared.set(change, edit);
  });
  for (const change of proof?.unexplained ?? []) declared.set(change, -1);
  return {
    subjects: SUBJECTS,
    kinds: KINDS,
    edits,
    rows: changes.map((change, i) => rowOf(change, declared.get(i) ?? proof?.explained.length ?? -1)),
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
    aspects
      .map((aspect) => describeAspect(aspect))
      .filter(Boolean)
      .join('; '),
    declared,
  ];
}
