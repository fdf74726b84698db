import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { IpgraftError } from '../../compiler/errors.js';
import { type OpenedModel, openModel } from '../open.js';
import { ACCELERATORS, PRECISIONS, type TritonOptions } from '../package/triton/model-config.js';
import { type PackagedModel, packageTriton } from '../package/triton/package-triton.js';
import { type TritonRelease, tritonRelease, USUAL_RELEASE } from '../package/triton/releases.js';
import { wholeNumber } from './number-option.js';
import { row } from './print-report.js';
import { size, withProgress } from './progress.js';
import { collect } from './repeated-option.js';
import type { Terminal } from './terminal.js';

interface PackageTritonFlags {
  readonly output: string;
  readonly name: string[];
  readonly target: string;
  readonly batched?: true;
  readonly maxBatch?: string;
  readonly queueDelay?: string;
  readonly gpu?: true;
  readonly cpu?: true;
  readonly accelerator?: (typeof ACCELERATORS)[number];
  readonly precision?: TritonOptions['precision'];
  readonly instances: string;
  readonly size: string;
  readonly warmup: boolean;
  readonly force?: true;
  readonly json?: true;
}

/** What `ipgraft package triton --json` prints. */
export interface PackageTritonReport {
  /** The folder of the repository, without what encloses it. */
  readonly repository: string;
  /** The release that it is for, and what that loads. */
  readonly target: TritonRelease;
  /** The models, then the ensembles. */
  readonly models: readonly PackagedModel[];
}

/** Rows of a batch, and the microseconds that a request waits for others, where nothing is said. */
const USUAL_BATCH = 8;
const USUAL_DELAY = 2000;

/** Of rows and of sessions: more is a slip. */
const MOST = 1024;

/** `ipgraft package triton`. */
export function packageTritonCommand(terminal: Terminal): Command {
  return new Command('triton')
    .description('lay models out as a repository that NVIDIA’s Triton loads')
    .argument('<model...>', 'UNet, image projection, image encoder: ONNX files, patched or not')
    .requiredOption('-o, --output <folder>', 'the repository; other models in it stay')
    .option(
      '--name <name>',
      'what a model is to be called (repeatable, in the order of the models)',
      collect,
      [],
    )
    .option('--target <release>', 'the release of Triton', USUAL_RELEASE)
    .option('--batched', 'let Triton put requests together: every input gets a batch')
    .option('--max-batch <n>', `of --batched: rows that run at once (default ${USUAL_BATCH})`)
    .option(
      '--queue-delay <µs>',
      `of --batched: how long a request waits for others (default ${USUAL_DELAY})`,
    )
    .addOption(new Option('--gpu', 'run on GPUs (default: where there are some)').conflicts('cpu'))
    .option('--cpu', 'run on the CPU')
    .addOption(
      new Option('--accelerator <name>', 'what runs on a GPU').choices(ACCELERATORS).conflicts('cpu'),
    )
    .addOption(new Option('--precision <name>', 'of TensorRT (default fp16)').choices(PRECISIONS))
    .option('--instances <n>', 'sessions of each model on each device', '1')
    .option('--size <wxh>', 'of the picture that warms the models up. Pixels', '512x512')
    .option('--no-warmup', 'no request that warms the models up')
    .option('--force', 'replace models of the repository that have the same name')
    .option('--json', 'print the report as JSON')
    .action((files: string[], flags: PackageTritonFlags) => packageFiles(files, flags, terminal));
}

async function packageFiles(
  files: readonly string[],
  flags: PackageTritonFlags,
  { print, signal }: Terminal,
): Promise<void> {
  const options = optionsOf(flags, files.length);
  const opened: OpenedModel[] = [];
  try {
    for (const file of files) opened.push(await openModel(file));
    const models = await withProgress('writing', (onProgress) =>
      packageTriton(opened as (OpenedModel & { path: string })[], flags.output, {
        ...options,
        signal,
        onProgress,
      }),
    );
    const report: PackageTritonReport = {
      repository: basename(flags.output),
      target: options.target,
      models,
    };
    if (flags.json) print(JSON.stringify(report, null, 2));
    else printReport(report, print);
  } finally {
    await Promise.all(opened.map((model) => model.close()));
  }
}

function printReport({ repository, target, models }: PackageTritonReport, print: Terminal['print']): void {
  row(print, 'for', `Triton ${target.release}, ONNX Runtime ${target.onnxruntime}`);
  for (const { name, platform, maxBatchSize, edits, files } of models) {
    const batch = maxBatchSize === 0 ? 'requests run alone' : `up to ${maxBatchSize} rows at once`;
    row(print, 'model', `${name}  ${platform}, ${batch}${edits === 0 ? '' : `, ${edits} edits`}`);
    for (const file of files) row(print, 'wrote', `${repository}/${name}/${file.name}  ${size(file.bytes)}`);
  }
}

function optionsOf(flags: PackageTritonFlags, models: number) {
  const { batched, maxBatch, queueDelay, accelerator = null, precision, name: names } = flags;
  for (const [option, value, needs, isThere] of [
    ['--max-batch', maxBatch, '--batched', batched],
    ['--queue-delay', queueDelay, '--batched', batched],
    ['--precision', precision, '--accelerator tensorrt', accelerator === 'tensorrt'],
  ] as const)
    if (value !== undefined && !isThere)
      throw new IpgraftError('OPTION_INVALID', `${option} goes with ${needs}`, { option });
  if (names.length > models)
    throw new IpgraftError('OPTION_INVALID', `--name: ${names.length} names for ${models} models`);
  return {
    target: tritonRelease(flags.target),
    names,
    maxBatch: batched ? wholeNumber('--max-batch', maxBatch ?? String(USUAL_BATCH), 1, MOST) : 0,
    queueDelay: wholeNumber('--queue-delay', queueDelay ?? String(USUAL_DELAY), 0),
    device: flags.cpu
      ? ('cpu' as const)
      : flags.gpu || accelerator !== null
        ? ('gpu' as const)
        : ('auto' as const),
    accelerator,
    precision: precision ?? ('fp16' as const),
    instances: wholeNumber('--instances', flags.instances, 1, MOST),
    sample: flags.warmup ? { rows: 2, ...pixels(flags.size) } : null,
    force: flags.force === true,
  };
}

/** Every published UNet halves latents three times, and a latent stands for 8 × 8 pixels. */
const STEP = 64;

function pixels(text: string): { readonly width: number; readonly height: number } {
  const [, width, height] = (/^(\d{1,5})x(\d{1,5})$/.exec(text) ?? []).map(Number);
  if (width && height && width % STEP === 0 && height % STEP === 0) return { width, height };
  throw new IpgraftError('OPTION_INVALID', `--size ${text}: sought WIDTHxHEIGHT, multiples of ${STEP}`);
}
