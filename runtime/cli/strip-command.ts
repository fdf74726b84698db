import { basename } from 'node:path';
import { Command } from 'commander';
import { openModel } from '../open.js';
import { stripPatched } from '../strip-patched.js';
import { row } from './print-report.js';
import { size, withProgress } from './progress.js';
import type { Terminal } from './terminal.js';

interface StripFlags {
  readonly output: string;
  readonly force?: true;
  readonly json?: true;
}

/** What `ipgraft strip --json` prints. */
export interface StripReport {
  /** The base that was written, without folder. */
  readonly file: string;
  /** Size of the file. */
  readonly bytes: number;
}

/** `ipgraft strip`. */
export function stripCommand({ print, signal }: Terminal): Command {
  return new Command('strip')
    .description('take the adapter out again: the base, byte for byte')
    .argument('<patched>', 'a model that `ipgraft compile` wrote')
    .requiredOption('-o, --output <file>', 'the base to write')
    .option('--force', 'replace a file that exists')
    .option('--json', 'print as JSON')
    .action(async (file: string, { output, force, json }: StripFlags) => {
      const model = await openModel(file);
      try {
        const { bytes } = await withProgress('writing', (onProgress) =>
          stripPatched(model, output, { force: force === true, signal, onProgress }),
        );
        const report: StripReport = { file: basename(output), bytes };
        if (json) print(JSON.stringify(report, null, 2));
        else
          row(
            print,
            'wrote',
            `${basename(output)}  ${size(bytes)}: the base; its graph and samples of its weights agree`,
          );
      } finally {
        await model.close();
      }
    });
}
