import type { ServedPipeline } from './served.js';
import { isOpen, scaleOf, type Wish } from './wish.js';

/** A picture that is to be made by a command. */
export interface CommandFor {
  readonly wish: Wish;
  readonly pipeline: ServedPipeline;
  /** Address of the server, with a slash at the end. */
  readonly base: string;
  /** Whether it must bring a token: written as the variable IPGRAFT_TOKEN, never itself. */
  readonly hasToken: boolean;
  /** The file to write. */
  readonly output: string;
}

/** `ipgraft generate` with the folder of the pipeline. */
export function cliCommand({ wish, pipeline, output }: CommandFor): string {
  const { adapters, scheduler } = pipeline;
  const options: [name: string, value: string][] = [['prompt', wish.prompt]];
  const add = (name: string, value: string | number | undefined) => {
    if (value !== undefined) options.push([name, `${value}`]);
  };
  if (wish.negative !== '') add('negative', wish.negative);
  for (const [i, images] of wish.images.entries())
    for (const { name } of images) add('image', `${i + 1}=${name}`);
  if (wish.images.some((images) => images.length > 0)) {
    for (const [i, { scale: kind }] of adapters.entries())
      if (isOpen(kind)) add('scale', JSON.stringify(scaleOf(wish.adapters[i]!, kind)));
    for (const [name, usual] of [
      ['start', 0],
      ['end', 1],
    ] as const)
      if (wish.adapters.some((each) => each[name] !== usual))
        for (const each of wish.adapters) add(name, each[name]);
  }
  for (const name of ['seed', 'steps', 'guidance', 'width', 'height'] as const) add(name, wish[name]);
  if (wish.scheduler !== scheduler) add('scheduler', wish.scheduler);
  if (wish.initImage !== undefined) {
    add('init-image', wish.initImage.name);
    add('strength', wish.strength);
    add('mask', wish.mask?.name);
  }
  add('output', output);
  // With “=”, so that no value is taken for an option.
  const words = options.map(([name, value]) => `--${name}=${shell(value)}`);
  return [`ipgraft generate ${shell(wish.model)}`, ...words].join(' \\\n  ');
}

/** One word of a POSIX shell. */
export function shell(text: string): string {
  return /^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
