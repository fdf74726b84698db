import { basename } from 'node:path';
import { Command } from 'commander';
import { type OpenedAdapter, openAdapters, openModel } from '../open.js';
import { swap } from '../swap.js';
import type { WrittenModel } from '../write-patched.js';
import { writeSwapped } from '../write-swapped.js';
import { row } from './print-report.js';
import { size, withProgress } from './progress.js';
import type { Terminal } from './terminal.js';

interface SwapFlags {
  readonly adapter: string[];
  readonly output: string;
  readonly force?: true;
  readonly json?: true;
}

/** What `ipgraft swap --json` prints. */
export interface SwapReport {
  /** The model that was written, without folder. */
  readonly file: string;
  /** How many weights are other ones now. */
  readonly tensors: number;
  /** All files of the result. */
  readonly written: WrittenModel;
}

/** `ipgraft swap`. */
export function swapCommand({ print, signal }: Terminal): Command {
  return new Command('swap')
    .description('put another adapter of the same family in the place of the one in a patched model')
    .argument('<patched>', 'a model that `ipgraft compile` wrote')
    .requiredOption('-a, --adapter <file...>', 'one for each adapter of the model, in its order')
    .requiredOption('-o, --output <file>', 'the model to write')
    .option('--force', 'replace files that exist')
    .option('--json', 'print as JSON')
    .action(async (file: string, { adapter, output, force, json }: SwapFlags) => {
      const model = await openModel(file);
      const adapters: OpenedAdapter[] = [];
      try {
        for (const each of adapter) adapters.push(...(await openAdapters(each)));
        const swapped = swap(model, adapters);
        const written = await withProgress('writing', (onProgress) =>
          writeSwapped(swapped, output, { force: force === true, signal, onProgress }),
        );
        const { tensors } = swapped;
        const report: SwapReport = { file: basename(output), tensors, written };
        if (json) print(JSON.stringify(report, null, 2));
        else {
          row(
            print,
            'swapped',
            `${tensors} weights for those of ${adapters.map(({ name }) => name).join(', ')}`,
          );
          for (const { name, bytes } of written.files) row(print, 'wrote', `${name}  ${size(bytes)}`);
        }
      } finally {
        await Promise.all([model, ...adapters].map((each) => each.close()));
      }
    });
}
