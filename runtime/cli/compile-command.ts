import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { IpgraftError } from '../../compiler/errors.js';
import { Drafts, type OutputFile } from '../../compiler/io/write-files.js';
import { Rope } from '../../compiler/wire/rope.js';
import { compile, type PatchedModel } from '../compile.js';
import { hoistedModels, hoistedPath } from '../hoist.js';
import { type OpenedAdapter, type OpenedModel, openAdapters, openModel } from '../open.js';
import { projectionModel } from '../project-image.js';
import { type CompileReport, reportOf } from '../report.js';
import { checkpointsOf, dataFileCopies, planOutput, type WeightsMode } from '../write-patched.js';
import { type GraftFlags, graftOptionsOf, withGraftOptions } from './graft-options.js';
import { printReport, row } from './print-report.js';
import { size, withProgress } from './progress.js';
import { refuseIdleShortcut, shortcutOf } from './shortcut-option.js';
import type { Terminal } from './terminal.js';

interface CompileFlags extends GraftFlags {
  readonly adapter?: string[];
  readonly output?: string;
  readonly weights: WeightsMode;
  readonly initFromText?: true;
  readonly numTokens?: string;
  readonly dropImageTokens?: string;
  readonly projection?: string;
  readonly report?: string;
  readonly dryRun?: true;
  readonly force?: true;
  readonly json?: true;
}

/** `ipgraft compile`. */
export function compileCommand(terminal: Terminal): Command {
  return withGraftOptions(new Command('compile'))
    .description('graft an IP-Adapter into a UNet')
    .argument('<base>', 'the UNet, an ONNX file')
    .option(
      '-a, --adapter <file...>',
      'IP-Adapter checkpoint, .safetensors or .bin; several for several adapters',
    )
    .option('-o, --output <file>', 'the patched UNet')
    .addOption(
      new Option('--weights <mode>', 'what happens to the base’s large weights')
        .choices(['auto', 'reference', 'copy'])
        .default('auto'),
    )
    .option('--init-from-text', 'no adapter: copy to_k and to_v, as training starts')
    .option('--num-tokens <n>', 'image tokens for --init-from-text')
    .option(
      '--drop-image-tokens <n>',
      'for a ControlNet: accept N image tokens behind the text and use the text alone',
    )
    .option('--projection <file>', 'also write the image projection as a model')
    .option('--report <file>', 'also write what was found and done, as JSON')
    .option('--dry-run', 'do everything but write')
    .option('--force', 'replace files that exist')
    .option('--json', 'print the report as JSON')
    .action((base: string, flags: CompileFlags) => compileFile(base, flags, terminal));
}

async function compileFile(base: string, flags: CompileFlags, terminal: Terminal): Promise<void> {
  checkFlags(flags);
  const { force = false, dryRun = false } = flags;
  const drafts = new Drafts({ force, signal: terminal.signal });
  const { model, adapters } = await openAll(base, flags, drafts);
  try {
    const { report, files, beside } = await prepare(model, adapters, flags).catch(async (error) => {
      await drafts.abandon();
      throw error;
    });
    const inputs = [...model.files, ...checkpointsOf(adapters)];
    if (!dryRun) await withProgress('writing', (onProgress) => drafts.finish(files, { inputs, onProgress }));
    if (flags.json) terminal.print(JSON.stringify(report, null, 2));
    else {
      printReport(report, dryRun, terminal.print);
      for (const { path, content } of dryRun ? [] : beside)
        row(terminal.print, 'wrote', `${basename(path)}  ${size(content.length)}`);
    }
  } finally {
    await Promise.all([model, ...adapters].map((file) => file.close()));
  }
}

/** Compiles, and says what is to be written. */
async function prepare(
  model: OpenedModel,
  adapters: readonly OpenedAdapter[],
  flags: CompileFlags,
): Promise<{ report: CompileReport; files: OutputFile[]; beside: SideFile[] }> {
  refuseIdleShortcut(flags, adapters);
  const patched = await compile(model, {
    adapters,
    ...graftOptionsOf(flags),
    ...(flags.initFromText && { initFromText: { tokens: Number(flags.numTokens) } }),
    ...(flags.dropImageTokens !== undefined && { dropImageTokens: Number(flags.dropImageTokens) }),
  });
  const { output, weights } = flags;
  const plan = output === undefined ? null : await planOutput(patched, output, weights);
  const report = reportOf(patched, plan?.written ?? null);
  const beside = await sideFiles(flags, patched, adapters, report);
  return { report, files: [...beside, ...(plan?.files ?? [])], beside };
}

/**
 * Opens adapters and base side by side: the digest of an adapter takes as long as reading a graph. What comes along with the base is copied
 * from then on: on another processor, which has nothing else to do while the graph is compiled.
 */
async function openAll(
  base: string,
  flags: CompileFlags,
  drafts: Drafts,
): Promise<{ model: OpenedModel; adapters: OpenedAdapter[] }> {
  const openingModel = openModel(base);
  const beginning = openingModel.then((model) => beginCopies(model, flags, drafts));
  const openingAdapters = (flags.adapter ?? []).map((file) => openAdapters(file, shortcutOf(flags)));
  const [opening, begun, ...openings] = await Promise.allSettled([
    openingModel,
    beginning,
    ...openingAdapters,
  ] as const);
  const adapters = openings.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  const failed = [opening, begun, ...openings].find((each) => each.status === 'rejected');
  if (opening.status === 'fulfilled' && failed === undefined) return { model: opening.value, adapters };
  await drafts.abandon();
  const opened = [...(opening.status === 'fulfilled' ? [opening.value] : []), ...adapters];
  await Promise.all(opened.map((file) => file.close()));
  throw (failed as PromiseRejectedResult).reason;
}

async function beginCopies(
  model: OpenedModel,
  { output, weights, dryRun }: CompileFlags,
  drafts: Drafts,
): Promise<void> {
  if (output === undefined || dryRun) return;
  for (const copy of await dataFileCopies(model, output, weights)) await drafts.begin(copy, model.files);
}

interface SideFile extends OutputFile {
  readonly content: Rope;
}

/** What is written beside the model, when it is asked for: all files come together or not at all. */
async function sideFiles(
  flags: CompileFlags,
  patched: PatchedModel,
  adapters: readonly OpenedAdapter[],
  report: CompileReport,
): Promise<SideFile[]> {
  const files: SideFile[] = [];
  if (flags.projection !== undefined) {
    files.push({ path: flags.projection, content: await projectionModel(adapters[0]!) });
  }
  if (flags.output !== undefined) {
    for (const [i, content] of (await hoistedModels(patched)).entries())
      files.push({ path: hoistedPath(flags.output, i), content });
  }
  if (flags.report !== undefined) {
    const json = `${JSON.stringify(report, null, 2)}\n`;
    files.push({ path: flags.report, content: Rope.ofText(json) });
  }
  return files;
}

function checkFlags(flags: CompileFlags): void {
  const refuse = (message: string) => new IpgraftError('OPTION_INVALID', message);
  if (flags.output === undefined && !flags.dryRun) throw refuse('sought -o OUT.onnx (or --dry-run)');
  if (flags.initFromText && flags.numTokens === undefined)
    throw refuse('--init-from-text needs --num-tokens N');
  if (!flags.initFromText && flags.numTokens !== undefined)
    throw refuse('--num-tokens goes with --init-from-text');
  if (flags.dropImageTokens !== undefined && flags.scale !== 'input')
    throw refuse('--drop-image-tokens takes no --scale');
  if (flags.projection !== undefined && flags.adapter?.length !== 1)
    throw refuse('--projection needs one adapter');
}
