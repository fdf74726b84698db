import type { Entry } from './entry.js';

/** What is wrong with a model file, down to its bytes. */
export const MODEL_ERRORS = {
  WIRE_TRUNCATED: {
    when: 'A record says it is longer than what is left of the file.',
    hint: 'The file is cut off: download or export it again.',
  },
  WIRE_MALFORMED: {
    when: 'The bytes are not a protobuf message where one must be.',
    hint: 'Check that this is the ONNX file itself and that the download is complete.',
  },
  MODEL_NOT_ONNX: {
    when: 'The file is something else than an ONNX model.',
    hint: "Give the .onnx file of the UNet (in optimum's folders: unet/model.onnx).",
  },
  MODEL_EMPTY: {
    when: "The model's graph has no nodes.",
    hint: 'Export the model again.',
  },
  MODEL_DUPLICATE_NAME: {
    when: 'Two initializers, inputs or outputs bear one name.',
    hint: 'The file is not a legal ONNX model: export it again.',
  },
  MODEL_ALREADY_PATCHED: {
    when: 'The model already carries an IP-Adapter of ipgraft.',
    hint: 'Start from the base model, or get it back with `ipgraft strip`.',
  },
  MODEL_NOT_PATCHED: {
    when: 'A patched model was sought, the file has no ipgraft metadata.',
    hint: 'Give a file that `ipgraft compile` wrote.',
  },
  MODEL_EXTERNAL_ESCAPES: {
    when: "An external-data location leaves the model's folder.",
    hint: 'Do not use this file: a location must be a plain relative path below the model.',
  },
  MODEL_EXTERNAL_MISSING: {
    when: 'An external-data file does not exist.',
    hint: 'Put the file beside the model, under the name that the model gives it.',
  },
  MODEL_EXTERNAL_TRUNCATED: {
    when: 'An external-data file is shorter than the model says.',
    hint: 'The data file is cut off or belongs to another model: download or export it again.',
  },
  MODEL_SUBGRAPH_READS_TEXT: {
    when: 'A control-flow subgraph reads the text input.',
    hint: 'Export the UNet without If or Loop nodes (simplify it, for example with onnxslim).',
  },
  MODEL_TYPE_UNSUPPORTED: {
    when: 'The model computes in a type that ipgraft cannot write.',
    hint: 'Use a float, float16 or bfloat16 model.',
  },
  MODEL_INTERFACE: {
    when: 'An input or output is no tensor, or its elements have no form in a typed client.',
    hint: 'Typed clients are for tensors of numbers, truth values and strings; bfloat16 goes over HTTP alone: --only http.',
  },
  MODEL_OPSET_UNSUPPORTED: {
    when: "The model's opset is older than what ipgraft writes.",
    hint: "Export with opset 11 or later, or raise it with onnx's version converter.",
  },
  MODEL_NOT_BATCHED: {
    when: 'A model is to take the rows of several requests at once, and one of its inputs or outputs is the same for all rows.',
    hint: 'Export it with a free batch (dynamic_axes), or package it without --batched.',
  },
  MODEL_FUNCTIONS: {
    when: 'The model keeps its layers in ONNX functions.',
    hint: 'Inline them first: `onnx.inliner.inline_local_functions` in Python.',
  },
  MODEL_CYCLE: {
    when: 'A value of the graph depends on itself.',
    hint: 'The file is not a legal ONNX model: export it again.',
  },
  MODEL_FOLDER: {
    when: 'The folder is not that of a pipeline exported to ONNX.',
    hint: 'Give the folder that holds model_index.json, as `optimum-cli export onnx` writes it.',
  },
  MODEL_FOLDER_FILE: {
    when: "A file of a pipeline's folder is not what it must be.",
    hint: 'The file is damaged or of another kind of pipeline: download or export the folder again.',
  },
  MODEL_FOLDER_COMPONENT: {
    when: 'A component that is needed is not in the folder of the pipeline.',
    hint: "Export the pipeline again with it; every component has a folder with its name, and a model's file is model.onnx.",
  },
  MODEL_FOLDER_ESCAPES: {
    when: 'A link in the folder of a pipeline leads out of it.',
    hint: 'Put the files themselves there: download caches link to their blobs, a download into a plain folder does not.',
  },
} as const satisfies Record<string, Entry>;
