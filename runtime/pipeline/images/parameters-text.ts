import type { SchedulerName } from '../schedulers/scheduler.js';

/** Keyword of the text that AUTOMATIC1111's web UI and its relatives read. */
export const PARAMETERS_KEYWORD = 'parameters';

/** What a picture was made of. */
export interface PictureParameters {
  readonly prompt: string;
  readonly negativePrompt: string | undefined;
  readonly steps: number;
  readonly scheduler: SchedulerName;
  readonly guidance: number;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  /** Of the pipeline. */
  readonly model: string;
  /** Where it was started from a picture. */
  readonly strength: number | undefined;
  /** Of each adapter. */
  readonly adapters: readonly string[];
  readonly version: string;
}

/** What that web UI calls the schedulers. */
const SAMPLERS: Readonly<Record<string, string>> = {
  ddim: 'DDIM',
  euler: 'Euler',
  'euler-a': 'Euler a',
  'dpmpp-2m': 'DPM++ 2M',
  'dpmpp-2m-karras': 'DPM++ 2M Karras',
  pndm: 'PLMS',
  lcm: 'LCM',
  unipc: 'UniPC',
};

/** The text in a picture's file from which it can be made again: the prompt, the negative prompt, one line with the rest. */
export function parametersText(made: PictureParameters): string {
  const fields = {
    Steps: made.steps,
    Sampler: SAMPLERS[made.scheduler] ?? made.scheduler,
    'CFG scale': made.guidance,
    Seed: made.seed,
    Size: `${made.width}x${made.height}`,
    Model: quoted(made.model),
    'Denoising strength': made.strength,
    'IP-Adapter': made.adapters.length === 0 ? undefined : quoted(made.adapters.join(', ')),
    Version: `ipgraft ${made.version}`,
  };
  const line = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');
  const negative = made.negativePrompt ? [`Negative prompt: ${made.negativePrompt}`] : [];
  return [made.prompt, ...negative, line].join('\n');
}

/** As that web UI writes values that its separators are in. */
function quoted(value: string): string {
  return /[,:\n]/.test(value) ? JSON.stringify(value) : value;
}
