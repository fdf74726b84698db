import { Command } from 'commander';
import { refuseExisting } from '../../compiler/io/write-files.js';
import { diff } from '../diff.js';
import { diffReport } from '../html/diff-report.js';
import { writeReport } from '../html/write-report.js';
import { type OpenedAdapter, type OpenedModel, openAdapters, openModel } from '../open.js';
import { printDiff } from './print-diff.js';
import { withProgress } from './progress.js';
import type { Terminal } from './terminal.js';

interface DiffFlags {
  readonly adapter?: readonly string[];
  readonly exitCode?: true;
  readonly verbose?: true;
  readonly html?: string;
  readonly force?: true;
  readonly json?: true;
}

/** `ipgraft diff`. The exit code is 1 when no edit explains a difference, and with `--exit-code` when there is any. */
export function diffCommand(terminal: Terminal): Command {
  return new Command('diff')
    .description('say what differs between two models, and prove that it is what a compilation declares')
    .argument('<a>', 'a model')
    .argument('<b>', 'another one, or what `ipgraft compile` made of the first')
    .option(
      '-a, --adapter <file...>',
      'compile a again with these adapters, and compare every byte that was inserted',
    )
    .option('--exit-code', 'end with 1 when anything differs, as `git diff` does')
    .option('--verbose', 'list every change')
    .option('--html <file>', 'also write what was found as one HTML document')
    .option('--force', 'replace a report that exists')
    .option('--json', 'print as JSON')
    .action(async (fileA: string, fileB: string, flags: DiffFlags) => {
      const opened: (OpenedModel | OpenedAdapter)[] = [];
      try {
        if (flags.html !== undefined) await refuseExisting(flags.html, flags.force === true);
        const a = await openModel(fileA);
        opened.push(a);
        const b = await openModel(fileB);
        opened.push(b);
        const adapters: OpenedAdapter[] = [];
        for (const file of flags.adapter ?? []) {
          adapters.push(...(await openAdapters(file)));
          opened.push(...adapters);
        }
        const found = await withProgress('comparing', (onProgress) => {
          const total = weightBytes(a);
          let done = 0;
          return diff(a, b, {
            adapters,
            onCompared(bytes) {
              done += bytes;
              onProgress(done, total);
            },
          });
        });
        if (flags.html !== undefined) {
          const inputs = opened.flatMap(({ files }) => files);
          const force = flags.force === true;
          await writeReport(flags.html, await diffReport(found, a.graph, b.graph), { force, inputs });
        }
        if (flags.json) terminal.print(JSON.stringify(found, null, 2));
        else printDiff(found, flags.verbose === true, terminal.print);
        const isUnexplained = found.proof !== null && !found.proof.holds;
        if (isUnexplained || (flags.exitCode && found.changes.length > 0)) terminal.fail();
      } finally {
        await Promise.all(opened.map((file) => file.close()));
      }
    });
}

/** As much as there may be to compare. */
function weightBytes({ graph, file }: OpenedModel): number {
  let bytes = file.length;
  for (const { external } of graph.initializers.values()) bytes += external?.length ?? 0;
  return bytes;
}
