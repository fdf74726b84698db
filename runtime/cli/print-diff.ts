import { kindOf } from '../../compiler/diff/compare-models.js';
import { describeAspect } from '../../compiler/diff/describe-aspect.js';
import {
  type Change,
  type Counts,
  KINDS,
  type ModelDiff,
  type Proof,
  type Side,
  SUBJECTS,
} from '../../compiler/diff/model-diff.js';
import { row } from './print-report.js';
import { size } from './progress.js';

type Print = (line: string) => void;

/** What is shown of a list before somebody asks for all of it. */
const SHORT = 12;
/** Longer texts are cut: a metadata entry may hold a journal. Characters. */
const LONGEST = 120;

/** A comparison for people: both sides, counts, the proof, and what it does not explain; all changes where there is no proof. */
export function printDiff(diff: ModelDiff, verbose: boolean, print: Print): void {
  const { a, b, counts, changes, proof } = diff;
  row(print, 'a', sideText(a));
  row(print, 'b', sideText(b));
  for (const subject of SUBJECTS) {
    const text = countsText(counts[subject]);
    if (text !== '') row(print, subject, text);
  }
  if (proof === null) {
    printChanges(changes, verbose, print);
    return;
  }
  row(print, 'proof', proofText(proof, changes.length));
  for (const { edit, changes: explained } of proof.explained)
    row(print, '', `${edit} explains ${explained.length} of the changes`);
  for (const fault of proof.faults.slice(0, verbose ? undefined : SHORT)) row(print, 'fault', short(fault));
  printMore(proof.faults.length, verbose, print);
  for (const text of proof.open) row(print, 'open', text);
  const shown = verbose ? changes : proof.unexplained.map((i) => changes[i]!);
  printChanges(shown, verbose, print, new Set(proof.unexplained.map((i) => changes[i]!)));
}

function sideText({ file, bytes, irVersion, opset, nodes }: Side): string {
  return `${file}  ${size(bytes)}, IR ${irVersion}, opset ${opset}, ${nodes} nodes`;
}

function countsText(counts: Counts): string {
  return (['unchanged', ...KINDS] as const)
    .filter((kind) => counts[kind] > 0)
    .map((kind) => `${counts[kind]} ${kind}`)
    .join(', ');
}

function proofText({ holds, source, edits, unexplained }: Proof, changes: number): string {
  const declared = source === 'journal' ? 'edits that b declares' : 'edits that compiling again makes';
  return holds
    ? `holds: ${changes} changes are the ${edits} ${declared} and what they bring; undone, they give a, byte for byte`
    : `does not hold: of ${changes} changes ${unexplained.length} are none of the ${edits} ${declared}`;
}

function printChanges(
  changes: readonly Change[],
  verbose: boolean,
  print: Print,
  unexplained: ReadonlySet<Change> = new Set(),
): void {
  for (const change of changes.slice(0, verbose ? undefined : SHORT))
    row(print, unexplained.has(change) ? 'unexplained' : kindOf(change), changeText(change));
  printMore(changes.length, verbose, print);
}

function printMore(count: number, verbose: boolean, print: Print): void {
  if (!verbose && count > SHORT) row(print, '', `… and ${count - SHORT} more: --verbose shows all`);
}

function changeText({ subject, a, b, label, scope, aspects }: Change): string {
  const name = subject === 'node' ? label : `${a ?? b} ${label}`.trim();
  const where = scope === '' ? '' : `, in ${scope}`;
  const what = aspects.map((aspect) => describeAspect(aspect, short)).filter((text) => text !== '');
  return `${subject} ${short(name)}${short(where)}${what.length === 0 ? '' : `: ${what.join('; ')}`}`;
}

function short(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
