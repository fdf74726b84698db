import type { Command } from 'commander';
import { IpgraftError } from '../../compiler/errors.js';
import type { AdapterOptions, OpenedAdapter } from '../open.js';
import { numberOf } from './number-option.js';

/** What commander makes of `--shortcut`, `--shortcut 0.5`, `--no-shortcut`, or nothing: then the adapter's file name decides. */
export interface ShortcutFlags {
  readonly shortcut?: string | boolean;
}

/** Adds `--shortcut [scale]` and `--no-shortcut` to a command. */
export function withShortcutOption(command: Command): Command {
  return command
    .option(
      '--shortcut [scale]',
      'FaceID-Plus version 2: add what the face reads in the image, scaled (default 1)',
    )
    .option('--no-shortcut', 'FaceID-Plus version 1');
}

/** How the flags say that adapters are to be read. @throws IpgraftError `OPTION_INVALID` */
export function shortcutOf({ shortcut }: ShortcutFlags): AdapterOptions {
  if (shortcut === undefined) return {};
  if (typeof shortcut === 'boolean') return { shortcut: shortcut ? 1 : null };
  return { shortcut: numberOf('--shortcut', shortcut) };
}

/** Refuses the option where no adapter is one that it is for. @throws IpgraftError `OPTION_INVALID` */
export function refuseIdleShortcut({ shortcut }: ShortcutFlags, adapters: readonly OpenedAdapter[]): void {
  if (shortcut === undefined || adapters.some(({ projection }) => projection.family === 'faceid-plus'))
    return;
  throw new IpgraftError('OPTION_INVALID', '--shortcut is for FaceID-Plus, and none of the adapters is one');
}
