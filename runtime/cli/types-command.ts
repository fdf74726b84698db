import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { writeFiles } from '../../compiler/io/write-files.js';
import { Rope } from '../../compiler/wire/rope.js';
import { counted } from '../counted.js';
import { openModel } from '../open.js';
import { TRANSPORTS, type Transport } from '../typed-client/transport.js';
import { typedClient } from '../typed-client/typed-client.js';
import { row } from './print-report.js';
import { size } from './progress.js';
import type { Terminal } from './terminal.js';

interface TypesFlags {
  readonly output: string;
  readonly name?: string;
  readonly only?: Transport;
  readonly force?: true;
  readonly json?: true;
}

/** What `ipgraft types --json` prints. */
export interface TypesReport {
  /** The module that was written, without folder. */
  readonly file: string;
  /** Size of the file. */
  readonly bytes: number;
  /** Of the class in it. */
  readonly name: string;
  /** What it runs the model with. */
  readonly transports: readonly Transport[];
  /** Names of the inputs that must be given. */
  readonly inputs: readonly string[];
  /** Names of the inputs that may be left out. */
  readonly optionalInputs: readonly string[];
  /** Names of the outputs. */
  readonly outputs: readonly string[];
}

/** `ipgraft types`. */
export function typesCommand({ print, signal }: Terminal): Command {
  return new Command('types')
    .description('write a typed TypeScript client for one model')
    .argument('<model>', 'any ONNX model, patched or not')
    .requiredOption('-o, --output <file>', 'the module to write, as unet.ts')
    .option('--name <name>', 'of the class (default: after the output, Unet of unet.ts)')
    .addOption(
      new Option('--only <transport>', 'one way to run the model (default: both)').choices(TRANSPORTS),
    )
    .option('--force', 'replace a file that exists')
    .option('--json', 'print as JSON')
    .action(async (file: string, flags: TypesFlags) => {
      const { output, only, force, json } = flags;
      const name = flags.name ?? className(output);
      const model = await openModel(file);
      try {
        const client = await typedClient(model, { name, ...(only !== undefined && { only }) });
        const content = Rope.ofText(client.text);
        await writeFiles([{ path: output, content }], { force: force === true, signal, inputs: model.files });
        const named = (optional: boolean) =>
          client.inputs.filter((input) => (input.optional === true) === optional).map((input) => input.name);
        const report: TypesReport = {
          file: basename(output),
          bytes: content.length,
          name,
          transports: only === undefined ? TRANSPORTS : [only],
          inputs: named(false),
          optionalInputs: named(true),
          outputs: client.outputs.map((each) => each.name),
        };
        if (json) print(JSON.stringify(report, null, 2));
        else
          row(
            print,
            'wrote',
            `${report.file}  ${size(report.bytes)}: class ${name}, ${counted(client.inputs.length, 'input')}, ${counted(client.outputs.length, 'output')}`,
          );
      } finally {
        await model.close();
      }
    });
}

/** `out/image-proj.ts` → `ImageProj`. */
function className(output: string): string {
  const words =
    basename(output)
      .replace(/\.[cm]?ts$/, '')
      .match(/[A-Za-z0-9]+/g) ?? [];
  return words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
}
