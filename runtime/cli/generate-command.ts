import { basename, dirname, extname, join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { refuseExisting, writeFiles } from '../../compiler/io/write-files.js';
import { Rope } from '../../compiler/wire/rope.js';
import { readPipelineFolder } from '../pipeline/folder/pipeline-folder.js';
import { type Generated, generate } from '../pipeline/generate.js';
import { readImage } from '../pipeline/images/decode-image.js';
import { encodePng } from '../pipeline/images/encode-png.js';
import { PARAMETERS_KEYWORD } from '../pipeline/images/parameters-text.js';
import { previews } from '../pipeline/images/preview.js';
import { loadComponent } from '../pipeline/load-component.js';
import { openPipeline } from '../pipeline/open-pipeline.js';
import { parametersOf } from '../pipeline/parameters-of.js';
import type { Pipeline } from '../pipeline/pipeline.js';
import { GENEROUS_LIMITS, type PictureRequest, pictureRequest } from '../pipeline/request.js';
import { SCHEDULER_NAMES, type SchedulerName } from '../pipeline/schedulers/scheduler.js';
import { PROVIDERS, type Provider } from '../session/load-runtime.js';
import { type AdapterFlags, adapterPrompts } from './adapter-prompts.js';
import { numberOf, wholeNumber } from './number-option.js';
import { row } from './print-report.js';
import { size } from './progress.js';
import { collect } from './repeated-option.js';
import { stepProgress } from './step-progress.js';
import type { Terminal } from './terminal.js';

interface GenerateFlags extends AdapterFlags {
  readonly prompt: string;
  readonly negative?: string;
  readonly output: string;
  readonly seed: string;
  readonly steps: string;
  readonly guidance: string;
  readonly guidanceRescale: string;
  readonly scheduler?: SchedulerName;
  readonly width?: string;
  readonly height?: string;
  readonly initImage?: string;
  readonly strength: string;
  readonly mask?: string;
  readonly batch: string;
  readonly projection: readonly string[];
  readonly preview?: string;
  readonly provider: Provider;
  readonly threads?: string;
  readonly force?: true;
  readonly json?: true;
}

/** What `ipgraft generate --json` prints. */
export interface GenerateReport {
  /** The pictures that were written, in the order of their seeds. */
  readonly pictures: readonly {
    /** Without folder. */
    readonly file: string;
    /** Size of the file. */
    readonly bytes: number;
    /** The seed that gives this picture alone. */
    readonly seed: number;
  }[];
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
  /** By its name here, the folder's own where none was asked for. */
  readonly scheduler: SchedulerName;
  /** Steps that were taken: fewer than asked for where a picture was started from. */
  readonly steps: number;
  /** From the first model's loading to the last picture, without writing. */
  readonly seconds: number;
  /** What is to be known: text that was too long. */
  readonly warnings: readonly string[];
}

/** `ipgraft generate`. */
export function generateCommand(terminal: Terminal): Command {
  return new Command('generate')
    .description('make pictures of text and images with the pipeline in a folder')
    .argument('<dir>', 'a Stable Diffusion pipeline exported to ONNX')
    .requiredOption('-p, --prompt <text>', 'what is to be seen')
    .requiredOption('-o, --output <file>', 'the PNG to write; with --batch NAME-1.png, NAME-2.png, …')
    .option('-n, --negative <text>', 'what is not to be seen')
    .option('-i, --image <[n=]file>', 'an image for the adapter (n: for which one; repeatable)', collect, [])
    .option(
      '--image-embeds <[n=]file>',
      'what the image encoder gave, in its place (repeatable)',
      collect,
      [],
    )
    .option(
      '--image-mask <[n=]file>',
      'where in the picture an image counts: white (repeatable)',
      collect,
      [],
    )
    .option(
      '--scale <s>',
      'how strongly images count: a number, or JSON with one per layer or block (repeatable)',
      collect,
      [],
    )
    .option('--start <share>', 'from which share of the steps on images count (repeatable)', collect, [])
    .option('--end <share>', 'to which share of the steps images count (repeatable)', collect, [])
    .option('--seed <n>', 'of the first picture; the others have the next ones', '42')
    .option('--steps <n>', 'how many', '30')
    .option('--guidance <n>', 'how strongly the prompt counts; from 1 down it is not guided', '7.5')
    .option('--guidance-rescale <share>', 'how much of the unguided deviation is given back', '0')
    .addOption(new Option('--scheduler <name>', 'the folder’s own unless named').choices(SCHEDULER_NAMES))
    .option('--width <pixels>', 'of the picture')
    .option('--height <pixels>', 'of the picture')
    .option('--init-image <file>', 'a picture to start from')
    .option('--strength <share>', 'how much of it is painted over', '0.8')
    .option('--mask <file>', 'which part of it is painted anew: white')
    .option('--batch <n>', 'how many pictures', '1')
    .option(
      '--projection <file>',
      'an adapter’s image projection, where the folder has none (repeatable)',
      collect,
      [],
    )
    .option('--preview <file>', 'write a rough small PNG after each step')
    .addOption(
      new Option('--provider <name>', 'what of ONNX Runtime runs the models')
        .choices(PROVIDERS)
        .default('cpu'),
    )
    .option('--threads <n>', 'of a run, as many as there are processors unless told')
    .option('--force', 'replace files that exist')
    .option('--json', 'print as JSON')
    .action(async (dir: string, flags: GenerateFlags) => {
      const outputs = outputPaths(
        flags.output,
        wholeNumber('--batch', flags.batch, 1, GENEROUS_LIMITS.pictures),
      );
      for (const path of outputs) await refuseExisting(path, flags.force === true);
      const { report, files } = await picturesFor(dir, flags, outputs, terminal);
      const contents = files.map(({ path, png }) => ({ path, content: Rope.of(png) }));
      await writeFiles(contents, { force: flags.force === true, signal: terminal.signal });
      if (flags.json) terminal.print(JSON.stringify(report, null, 2));
      else printReport(report, terminal.print);
    });
}

interface PictureFile {
  readonly path: string;
  readonly png: Uint8Array;
}

async function picturesFor(
  dir: string,
  flags: GenerateFlags,
  outputs: readonly string[],
  { signal }: Terminal,
): Promise<{ report: GenerateReport; files: PictureFile[] }> {
  const start = performance.now();
  const folder = await readPipelineFolder(dir);
  const threads = flags.threads === undefined ? {} : { threads: numberOf('--threads', flags.threads) };
  const load = (path: string) => loadComponent(path, { provider: flags.provider, ...threads });
  const pipeline = await openPipeline(folder, load, { projections: flags.projection });
  const request = await requestOf(pipeline, flags);
  const progress = await stepProgress();
  let made: Generated;
  try {
    progress.say('loading models, reading the prompt');
    made = await generate(pipeline, request, {
      signal,
      async onStep({ index, count, latents, predicted }) {
        progress.step(index, count);
        const [rough] = flags.preview === undefined ? [] : previews(predicted ?? latents, pipeline.kind);
        if (rough === undefined) return;
        const content = Rope.of(await encodePng(rough, 'Comment', `step ${index + 1} of ${count}`));
        await writeFiles([{ path: flags.preview!, content }], { force: true });
      },
    });
  } finally {
    progress.stop();
  }
  const seconds = (performance.now() - start) / 1000;
  const model = basename(resolve(dir));
  const files = await Promise.all(
    made.pictures.map(async ({ image, seed }, i) => ({
      path: outputs[i]!,
      png: await encodePng(image, PARAMETERS_KEYWORD, parametersOf(pipeline, request, made, seed, model)),
    })),
  );
  const pictures = files.map(({ path, png }, i) => ({
    file: basename(path),
    bytes: png.length,
    seed: made.pictures[i]!.seed,
  }));
  const { size: sides, scheduler, steps, warnings } = made;
  return { report: { pictures, ...sides, scheduler, steps, seconds, warnings }, files };
}

async function requestOf(pipeline: Pipeline, flags: GenerateFlags): Promise<PictureRequest> {
  const number = (name: string, value: string | undefined) =>
    value === undefined ? undefined : numberOf(`--${name}`, value);
  const image = (path: string | undefined) => (path === undefined ? undefined : readImage(path));
  const request = {
    prompt: flags.prompt,
    negativePrompt: flags.negative,
    width: number('width', flags.width),
    height: number('height', flags.height),
    steps: number('steps', flags.steps),
    guidance: number('guidance', flags.guidance),
    guidanceRescale: number('guidance-rescale', flags.guidanceRescale),
    seed: number('seed', flags.seed),
    scheduler: flags.scheduler,
    pictures: number('batch', flags.batch),
    initImage: await image(flags.initImage),
    strength: number('strength', flags.strength),
    mask: await image(flags.mask),
    adapters: await adapterPrompts(pipeline.unet.graft?.adapters ?? [], flags),
  };
  return pictureRequest(request, GENEROUS_LIMITS);
}

/** `out.png`; of several `out-1.png`, `out-2.png`, …. */
function outputPaths(output: string, count: number): string[] {
  if (count === 1) return [output];
  const extension = extname(output);
  const name = basename(output, extension);
  return Array.from({ length: count }, (_, i) => join(dirname(output), `${name}-${i + 1}${extension}`));
}

function printReport(report: GenerateReport, print: Terminal['print']): void {
  const { width, height, scheduler, steps, seconds } = report;
  row(print, 'made', `${width} × ${height}, ${steps} steps of ${scheduler}, ${seconds.toFixed(1)} s`);
  for (const warning of report.warnings) row(print, 'warning', warning);
  for (const { file, bytes, seed } of report.pictures)
    row(print, 'wrote', `${file}  ${size(bytes)}, seed ${seed}`);
}
