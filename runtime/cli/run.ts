import { Command, CommanderError, Help } from 'commander';
import { type ErrorCode, EXIT_CODES, type Facts, IpgraftError } from '../../compiler/errors.js';
import { visible } from '../../compiler/printable.js';
import { VERSION } from '../version.js';
import { adaptCommand } from './adapt-command.js';
import { compileCommand } from './compile-command.js';
import { diffCommand } from './diff-command.js';
import { generateCommand } from './generate-command.js';
import { inspectCommand } from './inspect-command.js';
import { packageCommand } from './package-command.js';
import { projectCommand } from './project-command.js';
import { serveCommand } from './serve-command.js';
import { stripCommand } from './strip-command.js';
import { swapCommand } from './swap-command.js';
import type { Terminal } from './terminal.js';
import { typesCommand } from './types-command.js';
import { validateCommand } from './validate-command.js';

const INTERRUPTED = 130;

/** Runs the command line and answers with the exit code: 0, 1 when a check failed, or the number of the error's family. */
export async function run(args: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  let exitCode = 0;
  const terminal: Terminal = {
    print: (line) => void process.stdout.write(`${line}\n`),
    signal: interrupt.signal,
    fail: () => {
      exitCode = 1;
    },
  };
  try {
    await program(terminal).parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    // Without a verb commander has shown the help already.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT_CODES.OPTION!;
    if (interrupt.signal.aborted) {
      process.stderr.write('interrupted: nothing was written\n');
      return INTERRUPTED;
    }
    return report(error, args.includes('--json'));
  } finally {
    process.removeListener('SIGINT', onInterrupt);
  }
}

/** The command line as commander holds it: every verb with its options. */
export function program(terminal: Terminal): Command {
  const root = new Command('ipgraft')
    .description('Grafts an IP-Adapter into a Stable Diffusion UNet already exported to ONNX.')
    .version(VERSION)
    .configureOutput({ outputError: () => {} })
    .configureHelp({
      optionDescription(option) {
        // An option that may be given several times begins with none: no default to speak of.
        return Help.prototype.optionDescription.call(this, option).replace(' (default: [])', '');
      },
    })
    .exitOverride();
  for (const make of [
    compileCommand,
    adaptCommand,
    inspectCommand,
    projectCommand,
    stripCommand,
    swapCommand,
    diffCommand,
    validateCommand,
    generateCommand,
    serveCommand,
    typesCommand,
    packageCommand,
  ]) {
    const verb = make(terminal).copyInheritedSettings(root);
    for (const below of verb.commands) below.copyInheritedSettings(root);
    root.addCommand(verb);
  }
  return root;
}

/** What any verb prints with `--json` when it fails, in the place of its own report. */
export interface ErrorReport {
  /** What went wrong. */
  readonly error: {
    readonly code: ErrorCode;
    /** What was sought and what was found. */
    readonly message: string;
    readonly facts: Facts;
    /** What to do about it. */
    readonly hint: string;
  };
}

/** An error as the user sees it; `--json` has it on standard output as data. */
function report(error: unknown, json: boolean): number {
  const known = asIpgraftError(error);
  if (known === undefined) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
  const { code, message, facts, hint, exitCode } = known;
  const found: ErrorReport = { error: { code, message, facts, hint } };
  if (json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  process.stderr.write(`${code}: ${visible(message)}\n  hint: ${hint}\n`);
  return exitCode;
}

function asIpgraftError(error: unknown): IpgraftError | undefined {
  if (error instanceof IpgraftError) return error;
  if (!(error instanceof CommanderError)) return undefined;
  const message = error.message.replace(/^error: /, '');
  // An option that takes several values takes whatever stands behind it.
  const hint = 'The file comes first, before the options: `ipgraft help VERB` shows how.';
  return error.code === 'commander.missingArgument'
    ? new IpgraftError('OPTION_INVALID', message, {}, { hint })
    : new IpgraftError('OPTION_INVALID', message);
}
