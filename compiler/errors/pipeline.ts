import type { Entry } from './entry.js';

/** Pictures that cannot be made. */
export const PIPELINE_ERRORS = {
  PIPELINE_COMPONENT: {
    when: 'A model of a pipeline does not take or give what pipelines of its kind need.',
    hint: 'Export the pipeline again, for example with `optimum-cli export onnx`; `ipgraft inspect` says what a model takes and gives.',
  },
  PIPELINE_TOKENIZER: {
    when: 'The tokenizer of a pipeline cannot be made of its files.',
    hint: 'Its folder needs tokenizer.json, or vocab.json and merges.txt, as the published pipelines have them.',
  },
  PIPELINE_REQUEST: {
    when: 'A picture was asked for that cannot be made, or that is beyond the limits.',
    hint: 'The message names the value and what was sought.',
  },
  PIPELINE_IMAGE_PROMPT: {
    when: 'Images do not fit the adapters of the UNet.',
    hint: '`ipgraft inspect` says of a patched UNet which adapters it has and how it takes their images.',
  },
  PIPELINE_IMAGE: {
    when: 'A file is not an image that can be read, or it is too large.',
    hint: 'Give a PNG, JPEG, WebP, AVIF, TIFF or GIF of at most 64 megapixels.',
  },
} as const satisfies Record<string, Entry>;
