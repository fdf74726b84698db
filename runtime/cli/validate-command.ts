import { Command } from 'commander';
import { IpgraftError } from '../../compiler/errors.js';
import { validationReport } from '../html/validation-report.js';
import { writeReport } from '../html/write-report.js';
import { openModel } from '../open.js';
import { validate } from '../validate/validate.js';
import type { Check, Validation } from '../validate/validation.js';
import { row } from './print-report.js';
import type { Terminal } from './terminal.js';

interface ValidateFlags {
  readonly seed: string;
  readonly shape: readonly string[];
  readonly html?: string;
  readonly force?: true;
  readonly json?: true;
}

/** `ipgraft validate`. The exit code is 1 when a check failed. */
export function validateCommand(terminal: Terminal): Command {
  return new Command('validate')
    .description('run a patched model beside its base and compare')
    .argument('<base>', 'the model that was compiled')
    .argument('<patched>', 'what `ipgraft compile` made of it')
    .option('--seed <n>', 'seed of the inputs', '0')
    .option(
      '--shape <input=AxBxC>',
      'shape of an input whose dimensions are free (repeatable)',
      (value, before: string[]) => [...before, value],
      [],
    )
    .option('--html <file>', 'also write a report as one HTML file')
    .option('--force', 'replace the report if it exists')
    .option('--json', 'print as JSON')
    .action(async (baseFile: string, patchedFile: string, flags: ValidateFlags) => {
      const options = { seed: parseSeed(flags.seed), shapes: new Map(flags.shape.map(parseShape)) };
      const base = await openModel(baseFile);
      try {
        const patched = await openModel(patchedFile);
        try {
          const found = await validate(
            { ...base, path: baseFile },
            { ...patched, path: patchedFile },
            options,
          );
          if (flags.json) terminal.print(JSON.stringify(found, null, 2));
          else printValidation(found, terminal.print);
          if (flags.html !== undefined) {
            const models = { base: base.source.name, patched: patched.source.name, graph: base.graph };
            const inputs = [...base.files, ...patched.files];
            await writeReport(flags.html, validationReport(found, models), {
              force: flags.force === true,
              inputs,
            });
          }
          if (!found.passed) terminal.fail();
        } finally {
          await patched.close();
        }
      } finally {
        await base.close();
      }
    });
}

function printValidation({ checks, warnings }: Validation, print: Terminal['print']): void {
  for (const check of checks) {
    const measured = check.difference === null ? '' : `  ${check.difference.toPrecision(3)}`;
    row(print, verdictOf(check), `${check.name}${measured}  (${check.detail})`);
  }
  for (const warning of warnings) row(print, 'warning', warning);
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
