import { Command, Option } from 'commander';
import { IpgraftError } from '../../compiler/errors.js';
import { refuseExisting } from '../../compiler/io/write-files.js';
import type { Adapter } from '../../passes/adapter/adapter.js';
import { validationReport } from '../html/validation-report.js';
import { writeReport } from '../html/write-report.js';
import { openAdapters, openModel } from '../open.js';
import { PROVIDERS, type Provider } from '../session/load-runtime.js';
import { validate } from '../validate/validate.js';
import type { Check, SiteNumbers, Validation } from '../validate/validation.js';
import { row } from './print-report.js';
import { collect } from './repeated-option.js';
import { type ShortcutFlags, shortcutOf, withShortcutOption } from './shortcut-option.js';
import type { Terminal } from './terminal.js';

interface ValidateFlags extends ShortcutFlags {
  readonly seed: string;
  readonly shape: readonly string[];
  readonly adapter?: readonly string[];
  readonly provider: Provider;
  readonly verbose?: true;
  readonly html?: string;
  readonly force?: true;
  readonly json?: true;
}

/** `ipgraft validate`. The exit code is 1 when a check failed. */
export function validateCommand(terminal: Terminal): Command {
  return withShortcutOption(new Command('validate'))
    .description('run a patched model beside its base and compare')
    .argument('<base>', 'the model that was compiled')
    .argument('<patched>', 'what `ipgraft compile` made of it')
    .option('--seed <n>', 'seed of the inputs', '0')
    .option('--shape <input=AxBxC>', 'shape of an input whose dimensions are free (repeatable)', collect, [])
    .option(
      '-a, --adapter <file...>',
      'the checkpoints that were compiled in: image weights are read from them',
    )
    .addOption(
      new Option('--provider <name>', 'what of ONNX Runtime runs the models')
        .choices(PROVIDERS)
        .default('cpu'),
    )
    .option('--verbose', 'print every cross-attention, not only the worst')
    .option('--html <file>', 'also write a report as one HTML file')
    .option('--force', 'replace the report if it exists')
    .option('--json', 'print as JSON')
    .action(async (baseFile: string, patchedFile: string, flags: ValidateFlags) => {
      const options = { seed: parseSeed(flags.seed), shapes: new Map(flags.shape.map(parseShape)) };
      const opened: { close(): Promise<void> }[] = [];
      const open = async <T extends { close(): Promise<void> }>(file: Promise<T>): Promise<T> => {
        opened.push(await file);
        return file;
      };
      try {
        if (flags.html !== undefined) await refuseExisting(flags.html, flags.force === true);
        const base = await open(openModel(baseFile));
        const patched = await open(openModel(patchedFile));
        const adapters: Adapter[] = [];
        for (const file of flags.adapter ?? []) {
          const found = await openAdapters(file, shortcutOf(flags));
          opened.push(...found);
          adapters.push(...found);
        }
        const found = await validate(
          { ...base, path: base.path! },
          { ...patched, path: patched.path! },
          { ...options, adapters, provider: flags.provider },
        );
        if (flags.json) terminal.print(JSON.stringify(found, finite, 2));
        else printValidation(found, flags.verbose === true, terminal.print);
        if (flags.html !== undefined) {
          const models = { base: base.source.name, patched: patched.source.name, graph: base.graph };
          const inputs = [...base.files, ...patched.files];
          const force = flags.force === true;
          await writeReport(flags.html, validationReport(found, models), { force, inputs });
        }
        if (!found.passed) terminal.fail();
      } finally {
        await Promise.all(opened.map((file) => file.close()));
      }
    });
}

/** How many cross-attentions are printed unless all are asked for. */
const WORST = 5;

/** JSON has no infinity and no NaN: a difference that is not finite is the largest number that there is. */
function finite(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? Number.MAX_VALUE : value;
}

function printValidation(
  { checks, warnings, sites, engine, provider }: Validation,
  verbose: boolean,
  print: Terminal['print'],
): void {
  row(print, 'provider', provider);
  if (engine !== null) row(print, 'engine', `${engine.name} ${engine.version}, ${engine.backend}`);
  for (const check of checks) {
    const measured = check.difference === null ? '' : `  ${check.difference.toPrecision(3)}`;
    row(print, verdictOf(check), `${check.name}${measured}  (${check.detail})`);
  }
  printSites(verbose ? sites : worstOf(sites), print);
  for (const warning of warnings) row(print, 'warning', warning);
}

/** All that failed, and the worst of the rest. */
function worstOf(sites: readonly SiteNumbers[]): SiteNumbers[] {
  const byDifference = sites.toSorted((a, b) => b.relative - a.relative);
  return byDifference.filter(({ passed }, i) => !passed || i < WORST);
}

function printSites(sites: readonly SiteNumbers[], print: Terminal['print']): void {
  if (sites.length > 0) row(print, 'sites', 'absolute  relative  limit    id  cross-attention');
  for (const { passed, difference, relative, limit, id, scope, diagnosis } of sites) {
    const numbers = [difference, relative].map((value) => value.toExponential(1).padEnd(8));
    const why = diagnosis === null ? '' : `  ${diagnosis}`;
    const name = `${limit.toExponential(0).padEnd(6)}  ${String(id).padStart(3)}  ${scope}${why}`;
    row(print, passed ? 'holds' : 'FAILS', [...numbers, name].join('  '));
  }
}

function verdictOf({ passed }: Check): string {
  return passed === null ? 'unknown' : passed ? 'holds' : 'FAILS';
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(seed)) return seed;
  throw new IpgraftError('OPTION_INVALID', `--seed ${text}: sought a whole number`);
}

function parseShape(text: string): [string, number[]] {
  const found = /^(.+)=(\d+(?:x\d+)*)?$/.exec(text);
  if (found !== null) return [found[1]!, (found[2] ?? '').split('x').filter(Boolean).map(Number)];
  throw new IpgraftError('OPTION_INVALID', `--shape ${text}: sought INPUT=AxBxC, such as sample=2x4x64x64`);
}
