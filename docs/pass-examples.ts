import type { Step, Task, WorkedExample } from './worked-example.js';
import { workedExample } from './worked-example.js';

/** A compilation that has each pass, in the order of the page: the usual ones first, where they do what they usually do. */
const TASKS: readonly { readonly pass: string; readonly task: Task }[] = [
  { pass: 'split-encoder-hidden-states', task: { options: {} } },
  { pass: 'insert-image-input', task: { options: { tokens: 'input' } } },
  { pass: 'project-image-embeds', task: { options: { tokens: 'embeds' } } },
  { pass: 'insert-image-kv', task: { options: {} } },
  { pass: 'clone-attention-branch', task: { options: {} } },
  { pass: 'add-image-attention', task: { options: {} } },
  { pass: 'stamp-metadata', task: { options: {} } },
  { pass: 'insert-image-mask', task: { options: { tokens: 'input', masks: true } } },
  { pass: 'insert-kv-input', task: { options: { hoist: true } } },
  { pass: 'merge-lora', task: { adapter: 'fixtures/kinds/faceid.adapter.bin.gz', options: {} } },
  {
    pass: 'project-image-tokens',
    task: {
      model: 'fixtures/kinds/kolors-dynamo18.onnx.gz',
      adapter: 'fixtures/kinds/kolors-faceid.adapter.bin.gz',
      options: { tokens: 'input' },
    },
  },
  { pass: 'scale-image-kv', task: { options: { tokens: 'input', embedsScaling: 'k+mean-v-penalty' } } },
  {
    pass: 'swap-image-rows',
    task: { options: { tokens: 'input', weightType: { name: 'composition-precise' } } },
  },
  { pass: 'drop-image-tokens', task: { options: {}, drop: true } },
  ...['batch-image-inputs', 'batch-timestep', 'stamp-batched'].map((pass) => ({
    pass,
    task: { options: { tokens: 'input', masks: true }, batch: true } as const,
  })),
];

/** One pass at work. */
export interface PassExample {
  readonly example: WorkedExample;
  readonly step: Step;
}

/** Every pass of the pipelines, each with a compilation that shows it. */
export async function passExamples(): Promise<PassExample[]> {
  const known = new Map<string, Promise<WorkedExample>>();
  return Promise.all(
    TASKS.map(async ({ pass, task }) => {
      const key = JSON.stringify(task);
      if (!known.has(key)) known.set(key, workedExample(task));
      const example = await known.get(key)!;
      return { example, step: example.steps.find((each) => each.pass.name === pass)! };
    }),
  );
}
