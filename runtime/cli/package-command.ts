import { Command } from 'commander';
import { packageKserveCommand } from './package-kserve-command.js';
import { packageTritonCommand } from './package-triton-command.js';
import type { Terminal } from './terminal.js';

/** `ipgraft package`: the verbs below it write models, or what describes them, for other programs that serve them. */
export function packageCommand(terminal: Terminal): Command {
  const parent = new Command('package').description('prepare models for other servers');
  return [packageTritonCommand, packageKserveCommand].reduce(
    (command, make) => command.addCommand(make(terminal)),
    parent,
  );
}
