import { styleText } from 'node:util';
import { visible } from '../../compiler/printable.js';
import type { CompileReport } from '../report.js';
import { size } from './progress.js';

type Print = (line: string) => void;

/** A compilation for people: what was found, what was inserted, what was written, what to know. */
export function printReport(report: CompileReport, dryRun: boolean, print: Print): void {
  const { base, adapters, crossAttentions, inputs, passes, notes, written } = report;
  row(print, 'base', `${base.file}  ${size(base.bytes)}, opset ${base.opset}, ${base.nodes} nodes`);
  for (const { name, family, tokens, images } of adapters) {
    const each = images === 1 ? '' : ` of each of ${images} images`;
    row(print, 'adapter', `${name}  ${family ?? 'copied weights'}, ${tokens} image tokens${each}`);
  }
  const sources = [...new Set(crossAttentions.map(({ source }) => source))].join(', ');
  const selected = crossAttentions.filter((attention) => attention.selected);
  row(print, 'found', `${selected.length} cross-attentions by ${sources}`);
  row(
    print,
    '',
    `${selected[0]!.scope} (id ${selected[0]!.id}) … ${selected.at(-1)!.scope} (id ${selected.at(-1)!.id})`,
  );
  for (const { name, counts } of passes) {
    const kinds = Object.entries(counts).map(([kind, count]) => `${kind} × ${count}`);
    row(print, 'pass', `${name}  ${kinds.join(', ')}`);
  }
  for (const { name, type, shape } of inputs)
    row(print, 'input', `${name}  ${type}[${shape?.join(', ') ?? '?'}]`);
  for (const note of notes) row(print, 'note', note);
  for (const file of written?.files ?? [])
    row(print, dryRun ? 'would write' : 'wrote', `${file.name}  ${size(file.bytes)}`);
}

/** A label and what it labels, the labels in one column. Names come from files that may be anybody's: no control character passes. */
export function row(print: Print, label: string, text: string): void {
  print(`${styleText('cyan', label.padEnd(12))}${visible(text)}`);
}
