import type { Entry } from './entry.js';

/** What cannot be written, and what was asked for wrongly. */
export const COMMAND_ERRORS = {
  OUTPUT_EXISTS: {
    when: 'An output file exists already.',
    hint: 'Choose another name, or pass --force to replace it.',
  },
  OUTPUT_IS_INPUT: {
    when: 'An output would replace one of the inputs.',
    hint: 'Choose another output name: the base is never touched.',
  },
  OUTPUT_INPUT_CHANGED: {
    when: 'A base, a data file or an adapter was changed, replaced or removed while it was read.',
    hint: 'Run again when nothing writes to it; nothing was left behind.',
  },
  OUTPUT_FAILED: {
    when: 'An output could not be written.',
    hint: 'Check the free space and the permissions of the output folder; nothing was left behind.',
  },
  OUTPUT_TOO_LARGE: {
    when: 'What must stay inside the model file, large constants in nodes for example, has 2 GiB or more.',
    hint: 'Give a base that keeps its large constants as external data (onnx.save with save_as_external_data and convert_attribute).',
  },
  OPTION_INVALID: {
    when: 'An option or its value is not understood.',
    hint: '`ipgraft help` lists the verbs, `ipgraft VERB --help` the options of one.',
  },
  OPTION_TARGET: {
    when: 'A release of a server was named that ipgraft does not know.',
    hint: 'Its message says which are known.',
  },
  OPTION_FILE_MISSING: {
    when: 'A file named on the command line cannot be read.',
    hint: 'Check the path.',
  },
  OPTION_SCALE: {
    when: "The scale is not a number, `input`, `layers`, `optional=N` or diffusers' JSON for this UNet.",
    hint: 'See “Scales” in docs/adapters.md.',
  },
  OPTION_SCHEDULER: {
    when: 'A scheduler, or what its configuration or a request says, is none that is offered.',
    hint: 'Its message names the key; docs/schedulers.md says what each scheduler takes.',
  },
  OPTION_SWAP: {
    when: 'An adapter cannot take the place of the one in a patched model.',
    hint: 'Compile the base with the new adapter; `ipgraft strip` gives the base back.',
  },
  OPTION_WEIGHT_TYPE: {
    when: 'A weight type was asked for on a UNet whose layers it does not know.',
    hint: 'Weight types are for SD1.x and SDXL; give other UNets a scale per layer: --scale layers, or diffusers’ JSON.',
  },
} as const satisfies Record<string, Entry>;
