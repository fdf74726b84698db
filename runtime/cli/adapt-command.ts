import { join } from 'node:path';
import { Command } from 'commander';
import { IpgraftError } from '../../compiler/errors.js';
import { draftOf, putFolders, refuseInputsIn } from '../../compiler/io/folder-draft.js';
import { Rope } from '../../compiler/wire/rope.js';
import { type OpenedAdapter, openAdapters } from '../open.js';
import { adapt } from '../pipeline/adapt/adapt.js';
import { planFolder } from '../pipeline/adapt/plan-folder.js';
import { type AdaptReport, adaptReport } from '../pipeline/adapt/report.js';
import { refuseInside, targetFolder } from '../pipeline/adapt/target.js';
import { type PipelineFolder, readPipelineFolder } from '../pipeline/folder/pipeline-folder.js';
import { type GraftFlags, graftOptionsOf, withGraftOptions } from './graft-options.js';
import { printReport, row } from './print-report.js';
import { size, withProgress } from './progress.js';
import { refuseIdleShortcut, shortcutOf } from './shortcut-option.js';
import type { Terminal } from './terminal.js';

interface AdaptFlags extends GraftFlags {
  readonly adapter: string[];
  readonly output?: string;
  readonly imageEncoder?: string[];
  readonly report?: string;
  readonly dryRun?: true;
  readonly force?: true;
  readonly json?: true;
}

/** `ipgraft adapt`. */
export function adaptCommand(terminal: Terminal): Command {
  return withGraftOptions(new Command('adapt'))
    .description('graft an IP-Adapter into a whole pipeline: a folder as optimum exports it')
    .argument('<folder>', 'the folder with model_index.json')
    .requiredOption(
      '-a, --adapter <file...>',
      'IP-Adapter checkpoint, .safetensors or .bin; several for several adapters',
    )
    .option('-o, --output <folder>', 'the adapted pipeline')
    .option(
      '--image-encoder <path...>',
      'folder or ONNX file of the image encoder, in the place of the folder’s own; several where adapters read several',
    )
    .option('--report <file>', 'also write what was found and done, as JSON')
    .option('--dry-run', 'do everything but write')
    .option('--force', 'replace an adapted folder and a report that exist')
    .option('--json', 'print the report as JSON')
    .action((folder: string, flags: AdaptFlags) => adaptFolder(folder, flags, terminal));
}

async function adaptFolder(path: string, flags: AdaptFlags, terminal: Terminal): Promise<void> {
  if (flags.output === undefined && !flags.dryRun)
    throw new IpgraftError('OPTION_INVALID', 'sought -o DIR2 (or --dry-run)');
  const folder = await readPipelineFolder(path);
  const { force = false, output } = flags;
  const target = output === undefined ? null : await targetFolder(folder, output, force);
  if (target !== null && flags.report !== undefined) await refuseInside(target, '--report', flags.report);
  const adapters: OpenedAdapter[] = [];
  try {
    for (const file of flags.adapter) adapters.push(...(await openAdapters(file, shortcutOf(flags))));
    refuseIdleShortcut(flags, adapters);
    const report = await write(folder, adapters, target, flags, terminal);
    if (flags.json) terminal.print(JSON.stringify(report, null, 2));
    else printAdapted(report, flags.dryRun === true, terminal.print);
  } finally {
    await Promise.all(adapters.map((adapter) => adapter.close()));
  }
}

/** Adapts, and writes unless it is a dry run. */
async function write(
  folder: PipelineFolder,
  adapters: readonly OpenedAdapter[],
  target: string | null,
  flags: AdaptFlags,
  { signal }: Terminal,
): Promise<AdaptReport> {
  const { force = false, imageEncoder: imageEncoders = [] } = flags;
  const adapted = await adapt(folder, adapters, { ...graftOptionsOf(flags), imageEncoders });
  try {
    const draft = draftOf(target ?? join(folder.path, 'adapted'));
    const plan = await planFolder(adapted, draft);
    const { inputs } = plan;
    const report = adaptReport(adapted, plan);
    if (target !== null) await refuseInputsIn(target, inputs);
    if (flags.dryRun || target === null) return report;
    const files = plan.files.map(({ name, content }) => ({ path: join(draft, name), content }));
    if (flags.report !== undefined)
      files.push({ path: flags.report, content: Rope.ofText(`${JSON.stringify(report, null, 2)}\n`) });
    await withProgress('writing', (onProgress) =>
      putFolders([target], files, { force, inputs, onProgress, signal }),
    );
    return report;
  } finally {
    await adapted.close();
  }
}

/** An adaptation for people: its UNet as `compile` prints it, then what else the folder has. */
function printAdapted(report: AdaptReport, isDryRun: boolean, print: Terminal['print']): void {
  const { unet, controlnets, adaptation, files } = report;
  row(print, 'folder', `${report.folder}  ${report.pipeline}`);
  printReport({ ...unet, notes: report.notes, written: null }, isDryRun, print);
  for (const { name, encoder } of adaptation.adapters)
    if (encoder !== null) row(print, 'encoder', `${encoder.model}  ${encoder.output}, for ${name}`);
  for (const { name } of controlnets) row(print, 'controlnet', `${name}  leaves the image tokens unused`);
  const verb = isDryRun ? 'would write' : 'wrote';
  for (const { name, bytes } of files.filter(({ action }) => action !== 'copied'))
    row(print, verb, `${name}  ${size(bytes)}`);
  const copied = files.filter(({ action }) => action === 'copied');
  const total = copied.reduce((sum, { bytes }) => sum + bytes, 0);
  row(print, isDryRun ? 'would copy' : 'copied', `${copied.length} files  ${size(total)}`);
}
