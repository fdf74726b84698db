import { basename } from 'node:path';
import { Command } from 'commander';
import type { Family } from '../../passes/adapter/image-projection.js';
import { openAdapter } from '../open.js';
import { writeProjection } from '../project-image.js';
import { row } from './print-report.js';
import { size } from './progress.js';
import { refuseIdleShortcut, type ShortcutFlags, shortcutOf, withShortcutOption } from './shortcut-option.js';
import type { Terminal } from './terminal.js';

interface ProjectFlags extends ShortcutFlags {
  readonly output: string;
  readonly force?: true;
  readonly json?: true;
}

/** What `ipgraft project --json` prints. */
export interface ProjectReport {
  /** The model that was written, without folder. */
  readonly file: string;
  /** Size of the file. */
  readonly bytes: number;
  /** Of the adapter whose projection it is. */
  readonly family: Family;
  /** Image tokens that it makes of one image. */
  readonly tokens: number;
}

/** `ipgraft project`. */
export function projectCommand({ print, signal }: Terminal): Command {
  return withShortcutOption(new Command('project'))
    .description('write an adapter’s image projection as a model: image_embeds → ip_hidden_states')
    .argument('<adapter>', 'IP-Adapter checkpoint')
    .requiredOption('-o, --output <file>', 'the model to write')
    .option('--force', 'replace a file that exists')
    .option('--json', 'print as JSON')
    .action(async (file: string, flags: ProjectFlags) => {
      const { output, force, json } = flags;
      const adapter = await openAdapter(file, shortcutOf(flags));
      try {
        refuseIdleShortcut(flags, [adapter]);
        const { bytes } = await writeProjection(adapter, output, {
          force: force === true,
          signal,
          inputs: adapter.files,
        });
        const { family } = adapter.projection;
        const { tokens } = adapter;
        const report: ProjectReport = { file: basename(output), bytes, family, tokens };
        if (json) print(JSON.stringify(report, null, 2));
        else
          row(
            print,
            'wrote',
            `${basename(output)}  ${size(bytes)}: ${family}, ${tokens} tokens of width ${adapter.tokenWidth}`,
          );
      } finally {
        await adapter.close();
      }
    });
}
