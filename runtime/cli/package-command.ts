import { Command } from 'commander';
import { packageTritonCommand } from './package-triton-command.js';
import type { Terminal } from './terminal.js';

/** `ipgraft package`: a verb for each server that models are laid out for. */
export function packageCommand(terminal: Terminal): Command {
  return new Command('package')
    .description('lay models out for another server')
    .addCommand(packageTritonCommand(terminal));
}
