import type { Entry } from './entry.js';

/** What was sought in a UNet and is not there. */
export const MATCH_ERRORS = {
  MATCH_TEXT_INPUT: {
    when: 'The input that carries the text embeddings was not found.',
    hint: 'Name it with --text-input.',
  },
  MATCH_NO_CROSS_ATTENTION: {
    when: 'No cross-attention was found.',
    hint: 'Check that the file is a UNet with text conditioning; where its modules have other names, pass --pattern.',
  },
  MATCH_UNCONFIRMED: {
    when: 'Names and dataflow disagree about the cross-attentions.',
    hint: 'Pass a --pattern that matches the cross-attentions only, or export the model again.',
  },
  MATCH_NO_SCOPE: {
    when: 'A cross-attention was found whose module path is unknown, so that its place in the checkpoint is unknown too.',
    hint: "Give a model that still has its node names, or its initializers' names.",
  },
  MATCH_PLACE: {
    when: 'A module path does not tell the place in the UNet (down_blocks, mid_block or up_blocks).',
    hint: "Pass --pattern so that only attentions of the UNet's blocks match.",
  },
  MATCH_PATTERN: {
    when: 'The pattern matches no cross-attention.',
    hint: '`ipgraft inspect MODEL.onnx` lists the scopes that a pattern can match.',
  },
  MATCH_LORA: {
    when: 'A Linear that a FaceID adapter changes was not found by its name, or its weight cannot be added to.',
    hint: 'Export the UNet in floats with its names, or leave the LoRA out with --lora-scale 0.',
  },
  MATCH_TEXT_WAY: {
    when: 'Something computes on the text between its input and a to_k, and image tokens must not take that way.',
    hint: 'ipgraft serves UNets whose cross-attentions read the text as it is (or cast, quantized or repeated).',
  },
  MATCH_STATIC_TOKENS: {
    when: 'An export with a static text length has frozen it into a shape where it cannot be told from the other numbers.',
    hint: 'Export with a dynamic token axis, or with another text length.',
  },
} as const satisfies Record<string, Entry>;
