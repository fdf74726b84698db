import type { Command } from 'commander';
import { program } from '../runtime/cli/run.js';

/** A verb that does something, by all of its words: `compile`, `package kserve`. */
export interface Verb {
  readonly name: string;
  readonly command: Command;
}

/** The verbs that stand directly behind `ipgraft`, those that only lead to others included. */
export const COMMANDS: readonly Command[] = program({
  print: () => {},
  signal: new AbortController().signal,
  fail: () => {},
}).commands;

export const VERBS: readonly Verb[] = COMMANDS.flatMap((command) =>
  command.commands.length === 0
    ? [{ name: command.name(), command }]
    : command.commands.map((below) => ({ name: `${command.name()} ${below.name()}`, command: below })),
);
